"""The list: what it says of each mutation, its filters, its pages."""

from control_plane.admin.addresses import PREFIX
from control_plane.admin.mutation_list import ROWS
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write

SWITCH = "details.turn form"


async def test_an_empty_list_teaches(admin: Person) -> None:
    page = await admin.open()
    assert page.words(".empty h2") == "No mutations yet"
    assert page.tree.css_first(f'.empty a[href="{PREFIX}/new"]') is not None


async def test_the_list_says_what_and_where_and_who(admin: Person) -> None:
    await write(admin, site="shop.example", priority="7")
    page = await admin.open()
    row = page.words("tbody tr")
    for part in ("Summer headline", "replace", "shop.example/", "draft", "7", "admin", "UTC"):
        assert part in row


async def test_filters(admin: Person) -> None:
    on = await write(admin, name="Alpha", pageSlug="/a")
    await admin.submit(on.page, SWITCH)
    await write(admin, "hide", **{"name": "Beta", "mutationPayload.target.selector": ".x"})
    for query, names in {
        "": ["Beta", "Alpha"],
        "?text=alp": ["Alpha"],
        "?state=on": ["Alpha"],
        "?state=off": ["Beta"],
        "?state=draft": ["Beta"],
        "?state=archived": [],
        "?state=nonsense": ["Beta", "Alpha"],
        "?type=hide": ["Beta"],
        "?page=/a": ["Alpha"],
        "?text=%00": ["Beta", "Alpha"],
    }.items():
        found = await admin.open(f"{PREFIX}{query}")
        assert sorted(found.all_words("a.title")) == sorted(names), query
    assert "Nothing fits" in (await admin.open(f"{PREFIX}?text=nowhere")).words(".empty")


async def test_paging_shows_each_once(admin: Person) -> None:
    names = [f"Number {number}" for number in range(ROWS + 3)]
    for name in names:
        await write(admin, name=name, priority=name.split()[1])
    first = await admin.open(f"{PREFIX}?text=Number")
    onward = first.tree.css_first("a[rel=next]")
    assert onward is not None
    second = await admin.open(onward.attributes["href"] or "")
    assert second.tree.css_first("a[rel=next]") is None
    assert first.all_words("a.title") + second.all_words("a.title") == names[::-1]


async def test_finding_in_other_words(admin: Person) -> None:
    await write(admin, name="Free delivery banner")
    await write(admin, name="Landing page", pageSlug="/a")
    found = await admin.open(f"{PREFIX}?text=deliver+for+free&similar=1")
    assert found.all_words("a.title")[0] == "Free delivery banner"
    assert found.tree.css_first("input[name=similar][checked]") is not None
    found = await admin.open(f"{PREFIX}?text=deliver+for+free&similar=1&page=/a&state=off")
    assert found.all_words("a.title") == ["Landing page"]
    assert "Nothing fits" in (await admin.open(f"{PREFIX}?text=deliver+for+free")).words(".empty")
