"""The operations of one mutation, as they are carried out on a page: the same for each visit, or with blanks to fill.

Counterpart: `rules.rows` makes groups of a mutation, `rules.decision` chooses those of a visit, `rules.html` carries them out.
Never: a look at a page.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct

from rules.filling import Slot, filled, values_of
from rules.model import ClientEvent, Delivery, Operation


class Group(Struct, frozen=True):
    """The operations of one mutation; targets are selectors."""

    mutation_id: str
    operations: tuple[Operation, ...]
    digest: str = ""
    """Of all the rest: equal digests change equal pages equally."""
    delivery: Delivery = Delivery.EDGE
    when: ClientEvent | None = None
    """What the browser waits for; None for the page to be ready. Only for those delivered to the browser."""

    def of_visit(self, attributes: Mapping[str, Any]) -> "Group":
        """What a visit gets: these operations, since nothing in them is filled."""
        return self


class OpenGroup(Group, frozen=True):
    """A group with blanks; `operations` have the fallbacks in them."""

    slots: tuple[Slot, ...] = ()

    @property
    def reads(self) -> frozenset[str]:
        """Attributes that it is filled from."""
        return frozenset().union(*(slot.template.reads for slot in self.slots))

    def of_visit(self, attributes: Mapping[str, Any]) -> Group:
        """The group of a visit. Its digest covers what was filled in, so that equal fillings share finished pages."""
        values = values_of(self.slots, attributes)
        digest = blake2b(msgspec.msgpack.encode((self.digest, values)), digest_size=12).hexdigest()
        others = {name: getattr(self, name) for name in Group.__struct_fields__}
        return Group(**others | {"operations": filled(self.operations, self.slots, values), "digest": digest})
