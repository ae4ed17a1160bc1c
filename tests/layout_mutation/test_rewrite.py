"""A page in, a page out, and on standard error why."""

import json

import pytest

from layout_mutation.rewrite import context_of
from rules import limits
from tests.layout_mutation.typed import CommandLine

PAGE = b"<!DOCTYPE html><html><head><title>t</title></head><body><h1>Old</h1><p>rest</p></body></html>"
RULES = json.dumps(
    {
        "mutations": [
            {
                "id": "headline",
                "name": "A new headline",
                "mutationType": "replace",
                "mutationPayload": {"target": {"selector": "h1"}, "scope": "inner", "content": {"text": "Grün"}},
            },
            {
                "id": "germans",
                "pageSlug": "/de/*",
                "conditions": {"query.from": "mail", "language": "de"},
                "mutationType": "remove",
                "mutationPayload": {"target": {"selector": "p"}},
            },
        ]
    }
)


@pytest.fixture
def rewrite(run: CommandLine) -> CommandLine:
    """The command line, in a folder with `rules.json`."""
    run.write("rules.json", RULES)
    return run


def test_without_explain_only_the_page_comes_out(rewrite: CommandLine) -> None:
    ran = rewrite("rewrite", "--rules", "rules.json", stdin=PAGE)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == PAGE.replace(b"Old", b"Gr&#252;n")


def test_the_charset_of_the_content_type_decides_how_text_is_written(rewrite: CommandLine) -> None:
    written = {"utf-8": "Grün".encode(), "iso-8859-1": b"Gr\xfcn", "us-ascii": b"Gr\xfcn"}
    for charset, text in written.items():
        ran = rewrite("rewrite", "--rules", "rules.json", "--charset", charset, stdin=PAGE)
        assert ran.out == PAGE.replace(b"Old", text)


def test_a_page_that_cannot_be_read_passes_and_says_so(rewrite: CommandLine) -> None:
    ran = rewrite("rewrite", "--rules", "rules.json", "--charset", "klingon", "--explain", stdin=PAGE)
    assert (ran.code, ran.out) == (0, PAGE)
    assert ran.err.startswith("passed through: charset")


def test_the_explanation_is_a_summary_and_a_line_for_each_mutation(rewrite: CommandLine) -> None:
    ran = rewrite("rewrite", "--rules", "rules.json", "--explain", "--charset", "utf-8", stdin=PAGE)
    summary, *lines = ran.err.splitlines()
    assert summary == "rewritten: 1 edit, 3 bytes replaced by 5, charset UTF-8"
    said = {line.split()[0]: line for line in lines}
    assert said["headline"].split()[1] == "applied"
    assert said["headline"].endswith("(A new headline)")
    assert said["germans"].split()[1] == "other_page"
    assert "pageSlug /de/* is not /" in said["germans"]
    assert ran.err == ran.err.replace(" \n", "\n")


def test_where_nothing_applies_the_reason_is_no_rules(run: CommandLine) -> None:
    run.write("rules.json", "{}")
    ran = run("rewrite", "--rules", "rules.json", "--explain", stdin=PAGE)
    assert (ran.code, ran.out, ran.err) == (0, PAGE, "passed through: no_rules\n")


def test_the_address_and_the_context_make_the_visit(rewrite: CommandLine) -> None:
    rewrite.write("visit.json", '{"attributes": {"language": "de"}}')
    words = ("--url", "http://shop.example/de/tea?from=mail&from=web", "--context", "visit.json", "--json")
    ran = rewrite("rewrite", "--rules", "rules.json", *words, stdin=PAGE)
    said = json.loads(ran.err)
    assert {one["mutationId"]: one["reason"] for one in said["outcomes"]} == {
        "headline": "applied",
        "germans": "applied",
    }
    assert said["reads"] == ["language", "query"]
    assert said["private"] is True
    assert b"<p>" not in ran.out


def test_a_context_says_more_than_the_address(run: CommandLine) -> None:
    path = run.write(
        "visit.json",
        '{"site": "a.example", "path": "/b", "layoutId": "article", "now": "2026-01-02T03:04:05Z", '
        '"attributes": {"host": "overruled"}, "forced": {"e": "v"}, "disabled": ["hero"], "only": ["cta"]}',
    )
    context = context_of("http://Shop.Example:81/offers?x=&x=2", path)
    assert (context.site, context.path, context.layout_id, context.now.year) == ("a.example", "/b", "article", 2026)
    assert context.attributes["host"] == "overruled"
    assert (context.attributes["query"], context.attributes["layoutId"]) == ({"x": ""}, "article")
    assert context.forced == {"e": "v"}
    assert (context.disabled, context.only) == (frozenset({"hero"}), frozenset({"cta"}))
    plain = context_of("http://Shop.Example:81", None)
    assert (plain.site, plain.path, plain.attributes["host"]) == ("shop.example", "/", "shop.example")


def test_words_of_the_context_switch_and_what_names_nothing_is_said(rewrite: CommandLine) -> None:
    rewrite.write("visit.json", '{"disabled": ["mutation:headline", "layre:micro"]}')
    ran = rewrite("rewrite", "--rules", "rules.json", "--context", "visit.json", stdin=PAGE)
    assert (ran.code, ran.out) == (0, PAGE)
    assert ran.err.startswith("not understood: layre:micro; a word is a module's id, ")
    told = rewrite("rewrite", "--rules", "rules.json", "--context", "visit.json", "--json", stdin=PAGE)
    said = json.loads(told.err)
    assert said["notUnderstood"] == ["layre:micro"]
    assert "by request: mutation:headline" in [one["detail"] for one in said["outcomes"]]


@pytest.mark.parametrize("url", ["shop.example", "http://[::1", "file:///etc/passwd", "http://a:b/"])
def test_an_address_that_is_none_is_one_line(rewrite: CommandLine, url: str) -> None:
    ran = rewrite("rewrite", "--rules", "rules.json", "--url", url, stdin=PAGE)
    assert ran.is_one_error(2)
    assert ran.err.startswith(f"error: --url {url}: ")


@pytest.mark.parametrize(
    ("context", "says"),
    [
        ('{"atributes": {}}', "`atributes`"),
        ('{"now": "2026-01-02T03:04:05"}', "$.now"),
        ('{"forced": {"e": 1}}', "$.forced"),
        ("nonsense", "not JSON"),
    ],
)
def test_a_context_that_cannot_be_used_is_one_line(rewrite: CommandLine, context: str, says: str) -> None:
    rewrite.write("visit.json", context)
    ran = rewrite("rewrite", "--rules", "rules.json", "--context", "visit.json", stdin=PAGE)
    assert ran.is_one_error(2)
    assert ran.err.startswith("error: visit.json: ")
    assert says in ran.err


def test_a_page_beyond_the_bound_is_refused_and_not_cut(rewrite: CommandLine) -> None:
    ran = rewrite("rewrite", "--rules", "rules.json", stdin=b"x" * (limits.PAGE_BYTES_MAX + 1))
    assert ran.is_one_error(2)
    assert ran.err.startswith("error: standard input: it has more than ")


def test_rules_are_required(run: CommandLine) -> None:
    ran = run("rewrite", stdin=PAGE)
    assert (ran.code, ran.out) == (2, b"")
    assert "--rules" in ran.err


def test_a_redirect_is_told_and_the_page_stays(run: CommandLine) -> None:
    payload = {"to": "/new", "status": 301, "keepQuery": True}
    rules = json.loads(RULES)
    rules["mutations"].append({"id": "moved", "mutationType": "redirect", "mutationPayload": payload})
    run.write("rules.json", json.dumps(rules))
    asked = ("rewrite", "--rules", "rules.json", "--url", "http://shop.example/old?a=1")
    ran = run(*asked, "--explain", stdin=PAGE)
    assert (ran.code, ran.out) == (0, PAGE)
    assert ran.err.splitlines()[0] == "redirects to /new?a=1 (301); the page is as it came"
    assert "headline  shadowed           redirected by moved" in ran.err
    told = json.loads(run(*asked, "--json", stdin=PAGE).err)
    assert told["redirect"] == {"mutationId": "moved", "location": "/new?a=1", "status": 301, "lasts": True}


def test_what_follows_from_the_visit_and_what_the_page_says(run: CommandLine) -> None:
    mutation = {
        "id": "headline",
        "conditions": {"device": "mobile", "page.emotion": "joy", "slug": "tea"},
        "mutationType": "hide",
        "mutationPayload": {"target": {"selector": "h1"}, "mode": "remove"},
    }
    run.write("rules.json", json.dumps({"mutations": [mutation]}))
    run.write("visit.json", '{"attributes": {"userAgent": "Mozilla/5.0 (iPhone) Mobile"}}')
    page = b'<meta name="layout-mutation:emotion" content="joy"><h1>x</h1>'
    words = ("--rules", "rules.json", "--url", "http://shop.example/de/tea", "--context", "visit.json")
    assert run("rewrite", *words, stdin=page).out == page.replace(b"<h1>x</h1>", b"")
    assert run("rewrite", *words, stdin=page.replace(b"joy", b"awe")).out == page.replace(b"joy", b"awe")
