"""One store's data put into another, and proven to be there.

The target takes all of it in one transaction, or nothing; what was there already stays. Whoever is killed in the middle
leaves the target as it was, and the next try begins anew. Counterparts: `settling.py` moves at the start of the service,
`layout-mutation move` by hand. Never: two installations mixed, or anything written to the source.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from control_plane.auditing import Anchor, What
from control_plane.auditing.following import Following
from control_plane.auditing.report import Faults
from control_plane.moving import hooks
from control_plane.moving.census import Census, Counter, Tally, census_of, differing
from control_plane.moving.places import Place
from control_plane.moving.standing import Comparable, Standing, standing
from control_plane.store import AuditRecord, Chain, Installation, Position, Record, Store


class Giving(Comparable, Protocol):
    """What data may come from: a store, or a file of one."""

    def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        """All that it holds, as of one moment."""


MOVABLE = frozenset({Standing.EMPTY, Standing.BEHIND, Standing.SAME})


class MoveError(Exception):
    """The data was not moved, or is not proven to have arrived. The message says why and what to do."""


class Hooks(Struct, frozen=True):
    """What is run before and after; empty for nothing."""

    before: str = ""
    after: str = ""


NO_HOOKS = Hooks()


class Side(Struct, frozen=True, rename="camel"):
    """One of the two stores, as hooks and people are told of it."""

    place: str
    installation: str
    """Empty where nobody has written yet."""
    epoch: int
    change: int
    audit_number: int
    table_version: int


class Plan(Struct, frozen=True, rename="camel"):
    """What a move would do."""

    source: Side
    target: Side
    standing: Standing
    """How the target stands to the source."""
    problem: str = ""
    """Why there would be no move; empty if there would."""


class Compared(Struct, frozen=True, rename="camel"):
    """An entity on both sides."""

    entity: str
    source: Tally
    target: Tally
    same: bool


class Moved(Struct, frozen=True, rename="camel"):
    """What came of a move."""

    plan: Plan
    records: int
    """How many were carried; 0 where the target had all of them."""
    entities: Sequence[Compared]
    audit_faults: Sequence[str] = ()
    """What is wrong with the chain of the audit that arrived, as it was where it came from; the first of them."""
    remark: str = ""
    """What did not go well after everything had arrived."""


WHY_NOT = {
    Standing.AHEAD: "the target has all that the source has, and more: use it as it is",
    Standing.PARTED: "both are of one installation, and were changed apart since: look at both with `move --check`, and choose "
    "one; an export of the other's rules (`/api/layout-mutation/export`) can be imported into it",
    Standing.FOREIGN: "the target holds another installation's data, which is never mixed: name an empty database, or import "
    "an export of the rules (`/api/layout-mutation/export`)",
}


async def planned(source: Giving, from_: Place, target: Store, to: Place) -> Plan:
    """What a move would do; raises StoreError."""
    if from_ == to:
        raise MoveError(f"source and target are the same store: {to}")
    found = await standing(source, target)
    one = side_of(from_, await source.position())
    if not one.installation:
        raise MoveError(f"there is nothing to move: nobody has written to {from_}")
    return Plan(one, side_of(to, await target.position()), found, WHY_NOT.get(found, ""))


async def move(
    source: Giving, from_: Place, target: Store, to: Place, given: Hooks = NO_HOOKS, *, chain: Chain
) -> Moved:
    """Carry everything over, compare both sides and follow the chain of the audit; the hooks run around it.

    Raises:
        MoveError: there is nothing to move, the two may not be mixed, a hook said no, or what arrived is not what left.
        StoreError: one of them is away; the target is as it was.
    """
    plan = await planned(source, from_, target, to)
    if plan.standing not in MOVABLE:
        raise MoveError(f"{from_} can't be moved to {to}: {plan.problem}")
    try:
        await hooks.run(given.before, _told("before", plan))
    except hooks.HookError as error:
        raise MoveError(f"nothing was moved: {error}") from None
    moved = await _carried(source, target, plan, chain)
    try:
        await hooks.run(given.after, _told("after", moved))
    except hooks.HookError as error:
        return msgspec.structs.replace(moved, remark=f"everything was moved, but {error}")
    return moved


async def compared(source: Giving, target: Store) -> tuple[Compared, ...]:
    """All entities side by side; raises StoreError."""
    return side_by_side(await census_of(source.records()), await census_of(target.records()))


def side_by_side(one: Census, other: Census) -> tuple[Compared, ...]:
    """Two counts as rows."""
    return tuple(Compared(name, one[name], other[name], one[name] == other[name]) for name in one)


async def _carried(source: Giving, target: Store, plan: Plan, chain: Chain) -> Moved:
    left, before = Counter(), await source.position()
    if plan.standing is Standing.SAME:
        records = 0
        left_census = await census_of(left.through(source.records()))
    else:
        elsewhere = _elsewhere(before.installation) if plan.standing is Standing.EMPTY else None
        records = await target.load(left.through(source.records()), elsewhere)
        left_census = left.census()
    arrived, faults = await _arrived(target, left, chain)
    rows = side_by_side(left_census, arrived)
    if not all(row.same for row in rows) and not await _goes_on(target, left):
        names = ", ".join(differing(left_census, {row.entity: row.target for row in rows}))
        raise MoveError(
            f"what arrived is not what left: {names}; {plan.source.place} is as it was, so go on with it, and name another target"
        )
    return Moved(plan, records, rows, faults)


async def _arrived(target: Store, left: Counter, chain: Chain) -> tuple[Census, tuple[str, ...]]:
    """The target counted, and what is wrong with its audit; who has no key follows the links alone."""
    arrived, faults = Counter(), Faults()
    anchor = Anchor("the store that it came from", left.audit_number, left.audit_hash)
    following = Following(chain, (anchor,) if left.audit_number else (), faults)
    async for record in target.records():
        arrived.add(record)
        if isinstance(record, AuditRecord):
            following.add(record.entry)
    following.end()
    found = (fault for fault in faults.kept if fault.what is not What.UNKNOWN_KEY)
    return arrived.census(), tuple(f"entry {fault.number}: {fault.detail}" for fault in found)


async def _goes_on(target: Store, left: Counter) -> bool:
    """Whether the target has more by now, on top of all that left: another instance moved first and serves already."""
    position = await target.position()
    if position.audit_number <= left.audit_number or not left.audit_number:
        return False
    found = await target.audit_page(None, None, left.audit_number + 1, 1)
    return bool(found) and (found[0].number, found[0].hash or b"") == (left.audit_number, left.audit_hash)


def _elsewhere(installation: Installation | None) -> Installation | None:
    return None if installation is None else msgspec.structs.replace(installation, epoch=installation.epoch + 1)


def side_of(place: Place, position: Position) -> Side:
    """A store as hooks and people are told of it."""
    whose = position.installation
    return Side(
        place=str(place),
        installation="" if whose is None else whose.id,
        epoch=0 if whose is None else whose.epoch,
        change=position.change,
        audit_number=position.audit_number,
        table_version=position.table_version,
    )


def _told(event: str, what: Plan | Moved) -> bytes:
    return msgspec.json.encode({"event": event, **msgspec.to_builtins(what)})
