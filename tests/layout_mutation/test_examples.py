"""The worked examples do what their table says, on the command line."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from rules.compiler import compile_table
from rules.context import Context
from rules.model import decode_rules
from rules.remembering import attributes_of, remember
from rules.state import NOTHING_YET
from tests.layout_mutation.running_up import ROOT
from tests.layout_mutation.typed import CommandLine

EXAMPLES = ROOT / "examples"
PAGE = (EXAMPLES / "page.html").read_bytes()
MORNING = datetime(2026, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def content(run: CommandLine) -> CommandLine:
    """The command line, for `content.json`."""
    return run


def test_content_is_filled_from_the_visit(content: CommandLine) -> None:
    visit = str(EXAMPLES / "content-visit.json")
    ran = content("rewrite", "--rules", str(EXAMPLES / "content.json"), "--context", visit, "--explain", stdin=PAGE)
    assert ran.code == 0
    for line in (
        '<p class="welcome" title="For Ada &lt;3">Welcome back, Ada &lt;3. <a href="/offers?from=news%20%26%20views">',
        '{"@type": "Person", "name": "Ada \\u003c3"}',
        '<section class="shelf" lang="de"><h2>Goes well with it</h2>',
        '<a href="/p/goats-cheese?from=news%20%26%20views">Goat&#39;s cheese</a></h3><p>6.5 € </p></article>',
        "<p>3 € <em>new</em></p></article></section>",
        "What a day for quince jam</h1>",
    ):
        assert line in ran.text, line
    assert "emotion=joy" in ran.err


def test_without_a_visit_the_fallbacks_are_written(content: CommandLine) -> None:
    ran = content("rewrite", "--rules", str(EXAMPLES / "content.json"), "--explain", stdin=PAGE)
    assert 'title="For you">Welcome back, friend. <a href="/offers?from=site">' in ran.text
    assert '<section class="shelf" lang="en">' in ran.text
    assert '<body class="product mood-unknown">' in ran.text
    assert "the visit has no emotion, otherwise" in ran.err


def test_lint_says_what_no_visit_has(content: CommandLine) -> None:
    ran = content("lint", str(EXAMPLES / "content.json"), "--page", f"/={EXAMPLES / 'page.html'}")
    assert ran.code == 0
    warned = [
        line.split(", which")[0].rsplit(" ", 1)[1] for line in ran.text.splitlines() if ", which no visit" in line
    ]
    assert sorted(warned) == ["`emotion`", "`name`"]
    assert ran.text.splitlines()[-1].startswith("3 mutations, 0 errors, ")


def test_what_a_visitor_brings_along_is_what_the_edge_remembers() -> None:
    """The attributes of `journey-visit.json` are what a visitor has after these pages."""
    memory = compile_table(decode_rules((EXAMPLES / "journey.json").read_bytes()), version=1, now=MORNING).memory
    state = NOTHING_YET
    for days, path, query in (
        (0, "/offers/quince", {}),
        (0, "/quiz/1", {"heat": "mild"}),
        (1, "/quiz/1", {"heat": "hot", "sweet": "none"}),
        (2, "/offers/plum", {}),
        (2, "/offers/pear", {}),
        (2, "/basket", {}),
        (3, "/offers/quince", {}),
    ):
        moment = MORNING + timedelta(days=days)
        state = remember(state, Context(site="a.example", path=path, now=moment, attributes={"query": query}), memory)
    given = msgspec.json.decode((EXAMPLES / "journey-visit.json").read_bytes())["attributes"]
    assert attributes_of(state, memory) == given
