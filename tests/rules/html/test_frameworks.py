"""Which elements a framework hydrates, and what it would miss. One golden case for each framework is in tests/corpus."""

import pytest

from rules import model
from rules.html.frameworks import _SIGNS, INERT_SIGN, Framework, framework_of, is_placeholder, roots_of, tears_markers
from rules.html.skeleton import RUN
from tests.rules.html.making import at, document, html, reasons, rewritten, text

SCRIPT = "<script type=module src=/a.js></script>"


def roots(page: str) -> list[tuple[str, str]]:
    return [(root.framework.value, root.element.tag) for root in roots_of(document(page))]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>plain", []),
        (f"<div id=root></div>{SCRIPT}", []),
        ("<div id=root><p>x</p></div>", []),
        (f"<div id=root><p>x</p></div>{SCRIPT}", [("React", "div")]),
        (f'<main id="app"><p>x</p></main>{SCRIPT}', [("Vue", "main")]),
        ("<main data-reactroot>x</main>", [("React", "main")]),
        ("<p>self.__next_f", [("Next", "html")]),
        ("<div id=__next>x</div><script id=__NEXT_DATA__></script>", [("Next", "div")]),
        ("<p>no container</p><script id=__NEXT_DATA__></script>", []),
        ("<script>window.__remixContext = {}</script>", [("React", "html")]),
        ("<section><!--$!--></section>", [("React", "body")]),
        ("<div id=root><section><!--$--><!--/$--></section></div>", [("React", "div")]),
        ("<p>a<!-- -->b", [("React", "body")]),
        ("<p><!-- --><i>x</i>", []),
        ("<!--$--><html>", []),
        ("<ul data-v-app><!--[--><!--]--></ul>", [("Vue", "ul")]),
        ("<div id=__nuxt><!--[--><!--]--></div>", [("Nuxt", "div")]),
        ("<app-root ng-version=1><x-y ngh=0></x-y></app-root>", [("Angular", "app-root")]),
        ("<body data-sveltekit-preload-data=hover>x", [("Svelte", "body")]),
        ("<astro-island></astro-island><p>x</p><astro-island></astro-island>", [("Astro", "astro-island")] * 2),
        ("<div id=app><astro-island></astro-island><!--[--><!--]--></div>", [("Astro", "astro-island")]),
    ],
)
def test_roots(page: str, expected: list[tuple[str, str]]) -> None:
    assert roots(page) == expected


def test_an_operation_is_a_frameworks_if_what_it_changes_is() -> None:
    page = document(f"<div id=root><p>x</p></div><footer>f</footer>{SCRIPT}")
    found = roots_of(page)
    inside: list[model.Operation] = [
        model.SetText(target=at("p"), content=text("n")),
        model.Before(target=at("p"), content=html("<i>n</i>")),
        model.Append(target=at("#root"), content=html("<i>n</i>")),
        model.SetText(target=at("footer, p"), content=text("n")),
        model.MoveAfter(target=at("p"), anchor=at("footer")),
        model.MovePrepend(target=at("footer"), anchor=at("#root")),
    ]
    outside: list[model.Operation] = [
        model.After(target=at("#root"), content=html("<i>n</i>")),
        model.Remove(target=at("#root")),
        model.SetText(target=at("footer"), content=text("n")),
        model.SetText(target=at("h9"), content=text("n")),
        model.MoveBefore(target=at("footer"), anchor=at("#root")),
        model.ReorderChildren(target=at("body"), order=[at("footer")]),
    ]
    assert [framework_of(page, found, operation) for operation in inside] == [Framework.REACT] * len(inside)
    assert [framework_of(page, found, operation) for operation in outside] == [None] * len(outside)
    assert framework_of(page, (), inside[0]) is None


@pytest.mark.parametrize(
    ("source", "torn"),
    [
        ("<p>plain: no markers</p>", False),
        ("<!--$--><p>x</p><!--/$-->", False),
        ("<!--[--><!--$!--><!--/$--><!--]--><!--&--><!--/&-->", False),
        ("<!--$--><p>x</p>", True),
        ("<!--/$--><!--$-->", True),
        ("<p>x</p><!--]-->", True),
        ("<!--$?--><!--/$-->", True),
        ('<template id="B:0"></template>', True),
        ("<p><i hidden id=S:1f></i></p>", True),
        ("<p id=S:1f>: not hidden</p>", False),
        ("<!-- a site's own $ --><!---->", False),
    ],
)
def test_markers_are_torn(source: str, torn: bool) -> None:
    page = document(f"<section>{source}</section>")
    assert tears_markers(source, page.select("section")[0]) is torn


def test_a_placeholder_is_left_alone() -> None:
    page = '<section><!--$?--><template id="B:0"></template><!--/$--></section><div hidden id="S:0"><p>x</p></div>'
    template, held = document(page).select("template")[0], document(page).select("div")[0]
    assert is_placeholder(template)
    assert is_placeholder(held)
    assert not is_placeholder(document("<p id=B:0>").select("p")[0])
    before = model.Before(target=at("template"), content=html("<i>n</i>"))
    assert reasons(page, before, model.AddClass(target=at("div"), names=["x"])) == ["unsafe_target", "unsafe_target"]
    inside = model.SetText(target=at("p"), content=text("n"))
    assert rewritten(page, inside) == page.replace("<p>x</p>", "<p>n</p>")


def test_no_gap_of_a_skeleton_can_make_a_needle() -> None:
    for needle in (needle for sign in _SIGNS for needle in sign.needles):
        runs = [run for run in RUN.finditer(needle) if needle[: run.start()] not in (b"<", b"<!")]  # these are no gaps
        if runs:
            assert any(INERT_SIGN.search(run[0]) for run in runs) or b"<" in needle, needle
