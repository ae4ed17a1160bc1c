"""What is wrong with one document, and how it should be."""

from typing import Any

import msgspec
import pytest

from control_plane import codec
from control_plane.moving.flaws import Company, FlawSort, examined
from control_plane.store import Kind, Stored
from rules.model import Module
from tests.control_plane.plane import headline

NOBODY = Company({}, {})


def stored(kind: Kind = Kind.MUTATION, version: int = 3, **members: Any) -> Stored:
    document = msgspec.convert(
        headline(id="a", version=3) | members if kind is Kind.MUTATION else members, codec.TYPES[kind]
    )
    return Stored("a", version, codec.encode(document))


def without(one: Stored, *names: str) -> Stored:
    members = msgspec.json.decode(one.content)
    return msgspec.structs.replace(
        one, content=msgspec.json.encode({n: v for n, v in members.items() if n not in names})
    )


def mended(one: Stored, company: Company = NOBODY) -> Any:
    content = examined(Kind.MUTATION, one, company).mended
    assert content is not None
    return msgspec.json.decode(content)


def sorts(one: Stored, company: Company = NOBODY) -> list[FlawSort]:
    return [flaw.sort for flaw in examined(Kind.MUTATION, one, company).flaws]


def test_a_document_as_this_program_writes_it_has_none() -> None:
    found = examined(Kind.MUTATION, stored(), NOBODY)
    assert (found.flaws, found.mended) == ((), None)
    assert found.document == codec.decode(Kind.MUTATION, stored().content)


@pytest.mark.parametrize("content", [b"[1]", b"{", b'{"id":"a","mutationType":"unheard of"}'])
def test_what_can_not_be_read_is_for_a_person(content: bytes) -> None:
    found = examined(Kind.MUTATION, Stored("a", 1, content), NOBODY)
    assert [(flaw.sort, flaw.mechanical) for flaw in found.flaws] == [(FlawSort.UNREADABLE, False)]
    assert (found.document, found.mended) == (None, None)


def test_id_and_version_are_the_stores() -> None:
    assert sorts(stored(id="b")) == [FlawSort.OTHER_ID]
    assert mended(stored(id="b"))["id"] == "a"
    assert sorts(stored(version=4)) == [FlawSort.OTHER_VERSION]
    assert mended(stored(version=4))["version"] == 4


def test_defaults_are_written_down() -> None:
    old = without(stored(), "note", "delivery")
    [flaw] = examined(Kind.MUTATION, old, NOBODY).flaws
    assert (flaw.sort, flaw.mechanical) == (FlawSort.OLD_FORM, True)
    assert "without delivery, note" in flaw.problem
    assert mended(old) == msgspec.json.decode(stored().content)


def test_a_selector_that_no_page_can_be_asked_for_is_for_a_person() -> None:
    operation = {"verb": "setText", "target": {"selector": "h1 >> p["}, "content": {"text": "x"}}
    found = examined(Kind.MUTATION, stored(mutationPayload={"operations": [operation]}), NOBODY)
    [flaw] = found.flaws
    assert (flaw.sort, flaw.path) == (FlawSort.UNUSABLE_SELECTOR, "$.mutationPayload.operations[0].target.selector")
    assert not flaw.mechanical
    selector = examined(Kind.MODULE, stored(Kind.MODULE, id="a", selector="p["), NOBODY)
    assert [flaw.path for flaw in selector.flaws] == ["$.selector"]


HERO, SAME, ALSO = (Module(id=name, selector="main > h1") for name in ("hero", "headline", "title"))


@pytest.mark.parametrize(
    ("present", "link", "advice"),
    [
        ([HERO], "hero", ""),
        ([SAME], "headline", "it is linked to headline, which is the same module by its fingerprint"),
        ([SAME, ALSO], "hero", "name one of headline, title"),
        ([Module(id="x", selector="h2")], "hero", "register the module hero again"),
    ],
)
def test_a_module_that_was_removed_is_found_by_its_fingerprint(present: list[Module], link: str, advice: str) -> None:
    one = stored(moduleId="hero", id="a")
    company = Company({module.id: module for module in present}, {"hero": HERO})
    found = examined(Kind.MUTATION, one, company)
    assert [flaw.sort for flaw in found.flaws] == ([FlawSort.DANGLING_MODULE] if advice else [])
    assert all(advice in flaw.advice for flaw in found.flaws)
    assert (found.mended is not None) == (link != "hero") == any(flaw.mechanical for flaw in found.flaws)
    if found.mended is not None:
        assert msgspec.json.decode(found.mended)["moduleId"] == link


def test_a_module_that_never_was_is_no_flaw() -> None:
    """It is found on a page by its name: `[data-module="…"]`."""
    assert sorts(stored(moduleId="hero")) == []
