"""What was applied lately, for each mutation."""

from datetime import UTC, datetime

from control_plane.admin.activity import applied
from control_plane.admin.addresses import ACTIVITY, mutation
from control_plane.services import Services
from control_plane.store.events import Rollup
from service.events import Execution
from tests.control_plane.admin.person import Person

NOW = datetime.now(UTC)
HOUR = NOW.replace(minute=0, second=0, microsecond=0)


def test_counts_are_put_together_by_mutation_the_most_applied_first() -> None:
    rows = applied(
        [
            Rollup("mutation", "a", "target_not_found", 9, 90.0, HOUR),
            Rollup("mutation", "b", "applied", 5, 5.0, HOUR),
            Rollup("mutation", "a", "applied", 1, 4.0, HOUR),
        ],
        {"a": "Hero"},
    )
    assert [(row.id, row.name, row.applied, row.others) for row in rows] == [
        ("b", "", 5, ()),
        ("a", "Hero", 4, (("target_not_found", 90),)),
    ]


async def test_the_page_shows_what_sidecars_told(viewer: Person, services: Services) -> None:
    page = await viewer.open(ACTIVITY)
    assert page.words(".empty h2") == "Nothing was told"
    told = Execution(
        id="1",
        at=NOW,
        site="shop.example",
        path="/",
        table=1,
        reason="applied",
        status=200,
        applied=("hero",),
        failed={"cta": "target_not_found"},
    )
    await services.events.add([told])
    page = await viewer.open(ACTIVITY)
    assert page.all_words("tbody tr")[0].startswith("hero 1 never in the hour from")
    assert "target_not_found 1" in page.all_words("tbody tr")[1]
    assert page.tree.css_first(f'a[href="{mutation("hero")}"]') is not None
