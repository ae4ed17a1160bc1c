"""What is wrong with a rules file, and whether its mutations find their targets on sample pages."""

import json

import pytest

from tests.layout_mutation.running_up import ROOT
from tests.layout_mutation.typed import CommandLine
from tests.rules import malformed

EXAMPLES = ROOT / "examples"
RULES = json.dumps(
    {
        "schemaVersion": 2,
        "mutations": [
            {
                "id": "offer",
                "pageSlug": "/offers/*",
                "mutationType": "hide",
                "mutationPayload": {"target": {"selector": ".offer"}},
            }
        ],
    }
)
OFFER = b"<!doctype html><html><head></head><body><p class=offer>x</p></body></html>"
OTHER = OFFER.replace(b" class=offer", b"")


@pytest.fixture
def lint(run: CommandLine) -> CommandLine:
    """The command line, in a folder with rules and pages."""
    run.write("rules.json", RULES)
    run.write("offer.html", OFFER)
    run.write("other.html", OTHER)
    return run


def test_the_examples_are_fine_by_their_own_page(run: CommandLine) -> None:
    for path in ("/offers/quince", "/sale/quince", "/gifts/quince"):
        ran = run("lint", str(EXAMPLES / "rules.json"), "--page", f"{path}={EXAMPLES / 'page.html'}")
        assert (ran.code, ran.err) == (0, "")
        assert ran.text.splitlines()[-1].startswith("9 mutations, 0 errors, ")


def test_the_examples_for_the_browser_are_fine_too(run: CommandLine) -> None:
    ran = run("lint", str(EXAMPLES / "browser.json"), "--page", f"/offers/quince={EXAMPLES / 'page.html'}")
    assert (ran.code, ran.text.splitlines()[-1]) == (0, "7 mutations, 0 errors, 0 warnings")


def test_a_page_is_tried_by_its_path_and_a_file_alone_always(lint: CommandLine) -> None:
    cases = (
        ("/offers/tea=offer.html", 0),
        ("/offers/tea=other.html", 1),
        ("/elsewhere=other.html", 0),
        ("offer.html", 0),
        ("other.html", 1),
    )
    for page, code in cases:
        assert lint("lint", "rules.json", "--page", page).code == code, page
    both = lint("lint", "rules.json", "--page", "/offers/a=offer.html", "--page", "/offers/b=other.html")
    assert both.code == 1
    first, last = both.text.splitlines()
    assert first.startswith("rules.json: $.mutations[0].mutationPayload: error: operation 1 (.offer)")
    assert "/offers/b" in first
    assert last == "1 mutations, 1 errors, 0 warnings"


def test_warnings_alone_are_no_error(run: CommandLine) -> None:
    run.write("rules.json", RULES.replace('"id"', '"isActive": false, "id"'))
    ran = run("lint", "rules.json")
    assert ran.code == 0
    assert "rules.json: $.mutations[0]: warning: is never served" in ran.text


def test_findings_as_json(lint: CommandLine) -> None:
    assert lint("lint", "rules.json", "--json").text == "[]\n"
    (finding,) = json.loads(lint("lint", "rules.json", "--json", "--page", "other.html").out)
    assert (finding["severity"], finding["path"]) == ("error", "$.mutations[0].mutationPayload")


def test_what_bringing_a_file_forward_changed_is_a_note(run: CommandLine) -> None:
    run.write("old.json", '{"experiments": [{"id": "e", "variations": [{"key": "a"}, {"key": "b"}]}]}')
    ran = run("lint", "old.json")
    first, second, *_, last = ran.text.splitlines()
    assert first == "old.json: $.schemaVersion: note: is 2 now; the file was of version 1"
    assert second.startswith("old.json: $.experiments[0].seed: note: is `e`, the id")
    assert (ran.code, last) == (0, "0 mutations, 0 errors, 1 warnings")
    severities = [finding["severity"] for finding in json.loads(run("lint", "old.json", "--json").out)]
    assert severities == ["note", "note", "warning"]


def test_a_file_of_a_newer_version_is_one_line(run: CommandLine) -> None:
    run.write("new.json", '{"schemaVersion": 3, "unheardOf": []}')
    for words in (["lint", "new.json"], ["rewrite", "--rules", "new.json"]):
        ran = run(*words, stdin=b"")
        assert ran.is_one_error(2)
        assert "new.json: $.schemaVersion: the file says version 3; this program reads 1 to 2" in ran.err


def test_every_malformed_file_is_one_line_and_exit_code_2(run: CommandLine) -> None:
    for name, content, path, part in malformed.files():
        if len(data := content()) > 5_000_000:
            continue  # the same words, after a while: tests/rules/test_malformed.py has them
        run.write("rules.json", data)
        ran = run("lint", "rules.json")
        assert ran.is_one_error(2), name
        assert ran.err.startswith(f"error: rules.json: {path}: "), name
        assert part in ran.err, name


def test_a_rules_file_on_standard_input(run: CommandLine) -> None:
    ran = run("lint", "-", stdin=RULES.encode())
    assert (ran.code, ran.text) == (0, "1 mutations, 0 errors, 0 warnings\n")
    assert run("lint", "-", stdin=b"{").err.startswith("error: standard input: $: this is not JSON")


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("/offers", "--page /offers: PATH=FILE is expected, for example /offers=offers.html"),
        ("/offers=nowhere.html", "nowhere.html: No such file or directory"),
        ("nowhere.html", "nowhere.html: No such file or directory"),
    ],
)
def test_a_page_that_cannot_be_used_is_one_line(lint: CommandLine, page: str, says: str) -> None:
    ran = lint("lint", "rules.json", "--page", page)
    assert ran.is_one_error(2)
    assert ran.err == f"error: {says}\n"


def test_an_unusable_rules_file_is_exit_code_2(run: CommandLine) -> None:
    run.write("rules.json", RULES.replace("hide", "hid"))
    ran = run("lint", "rules.json")
    assert ran.is_one_error(2)
    assert "`hide`" in ran.err


def test_experiments_are_measured_by_the_traffic(lint: CommandLine) -> None:
    rules = {"experiments": [{"id": "e", "variations": [{"key": "control"}, {"key": "new"}]}]}
    lint.write("rules.json", json.dumps(rules))
    assert "useful sample" not in lint("lint", "rules.json").text
    assert "useful sample" in lint("lint", "rules.json", "--daily-visits", "100").text
    assert "useful sample" not in lint("lint", "rules.json", "--daily-visits", "100", "--lift", "1").text
    refused = lint("lint", "rules.json", "--daily-visits", "100", "--baseline", "5")
    assert (refused.code, "--baseline between 0 and 1" in refused.err) == (2, True)
