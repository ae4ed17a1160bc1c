"""The list of checks of an installation, in the order in which they are made. Whoever has another one adds it here.

Counterpart: each is a function of the form `layout_mutation.doctor.checks.Examination`. Never: a check that changes something, unless it is asked to heal.
"""

from collections.abc import Sequence

from layout_mutation.doctor.audit import audit
from layout_mutation.doctor.checks import Asked, Check, Examination, store_is_fine
from layout_mutation.doctor.database import database
from layout_mutation.doctor.files import chroma, mirror, store
from layout_mutation.doctor.schema import schema
from layout_mutation.doctor.table import published
from layout_mutation.migration_check import migration_check


def documents(asked: Asked, found: Sequence[Check]) -> list[Check]:
    """What the store holds, beside where it came from."""
    return [Check("documents", *migration_check(dict(asked.environ), asked.data_dir))] if store_is_fine(found) else []


EXAMINATIONS: tuple[Examination, ...] = (database, schema, store, chroma, mirror, audit, documents, published)


def examined(asked: Asked, examinations: Sequence[Examination] = EXAMINATIONS) -> list[Check]:
    """What all of them found."""
    found: list[Check] = []
    for examination in examinations:
        found += examination(asked, tuple(found))
    return found
