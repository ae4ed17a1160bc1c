"""Who did what, when and why."""

from control_plane.intent import Action
from control_plane.tokens import Actor, Role
from tests.control_plane.plane import Plane


async def test_every_change_is_noted_with_the_table_that_carries_it(plane: Plane) -> None:
    await plane.create(id="welcome")
    await plane.ask("POST", "mutations/welcome/rollback", {"version": 1, "reason": "try"}, role="publisher")
    entries = (await plane.ask("GET", "audit?kind=mutation&subject=welcome")).json()["items"]
    assert [(one["action"], one["actor"], one["role"], one["reason"]) for one in entries] == [
        ("rolled_back", "the publisher", "publisher", "try"),
        ("created", "the admin", "admin", ""),
    ]
    assert [(one["versionBefore"], one["versionAfter"], one["tableVersion"]) for one in entries] == [
        (1, 2, 3),
        (None, 1, 2),
    ]
    tables = (await plane.ask("GET", "audit?kind=table")).json()["items"]
    assert [(one["action"], one["versionAfter"]) for one in tables] == [("published", n) for n in (3, 2, 1)]


async def test_a_refused_change_is_not_noted(plane: Plane) -> None:
    await plane.ask("DELETE", "mutations/none")
    assert len((await plane.ask("GET", "audit")).json()["items"]) == 1


async def test_entries_are_turned_page_by_page(plane: Plane) -> None:
    audit = plane.services.audit
    for number in range(5):
        await audit.record(Actor("Ada", Role.ADMIN), Action.SIGNED_IN, f"s{number}", "link")
    numbers: list[int] = []
    cursor: str | None = None
    while True:
        page = await audit.page(kind="session", cursor=cursor, limit=2)
        numbers += [entry.number for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert numbers == [6, 5, 4, 3, 2]
    assert (await audit.page(subject="\x00")).items == ()
