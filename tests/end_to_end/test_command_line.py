"""`python -m layout_mutation …` as a person runs it: what goes in, what comes out, and the exit code.

Each test starts processes in an empty folder, with an environment of their own.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from control_plane.tokens import Role, Tokens
from tests.end_to_end.site import Site, response
from tests.end_to_end.stack import ROOT, Service, inherited, until
from tests.layout_mutation.typed import Ran
from tests.rules import malformed

EXAMPLES = ROOT / "examples"
RULES = EXAMPLES / "rules.json"
PAGE = (EXAMPLES / "page.html").read_bytes()
COMMANDS = ("up", "sidecar", "control-plane", "rewrite", "lint", "migrate", "token", "doctor", "docs")
RUN_S_MAX = 60.0

Damage = Callable[[dict[str, Any]], object]


class CommandLine:
    """Runs commands in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "layout_mutation", *words],
            input=stdin,
            capture_output=True,
            check=False,
            cwd=self.folder,
            env={**inherited(), "COLUMNS": "120", **(environment or {})},
            timeout=RUN_S_MAX,
        )
        return Ran(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


# ---------------------------------------------------------------- rewrite and lint


def test_rewrite_changes_a_saved_page_and_explains_every_mutation(run: CommandLine) -> None:
    ran = run("rewrite", "--rules", str(RULES), "--explain", stdin=PAGE)
    assert ran.code == 0
    changes = (
        (b'class="product"', b'class="product headline-fresh"'),
        (b"<h1>Quince jam</h1>", b"<h1>Fresh &amp; early</h1>"),
        (b'<p class="social"><a href="https://social.example">Follow us</a></p>', b""),
    )
    expected = PAGE
    for before, after in changes:
        assert expected.count(before) == 1
        expected = expected.replace(before, after)
    assert ran.out == expected
    said = dict(line.split()[:2] for line in ran.err.splitlines()[1:])
    assert said == {
        "headline": "applied",
        "plain-footer": "applied",
        "free-delivery": "conditions",
        "no-newsletter": "trigger",
        "offer-of-the-week": "other_page",
        "offer-on-top": "other_page",
        "gift-pages": "other_page",
        "button-up": "conditions",
        "buy-button": "not_in_experiment",
    }


def test_rewrite_as_another_visit_applies_everything(run: CommandLine) -> None:
    where = ("--context", str(EXAMPLES / "visit.json"), "--url", "https://larder.example/offers/quince")
    ran = run("rewrite", "--rules", str(RULES), *where, "--json", stdin=PAGE)
    assert ran.code == 0
    said = json.loads(ran.err)
    elsewhere = {outcome["mutationId"] for outcome in said["outcomes"] if outcome["reason"] != "applied"}
    assert elsewhere == {"offer-on-top", "gift-pages"}
    assert ran.text.index("<form") < ran.text.index("<ul>")
    assert said["assignments"] == {"buy-wording": "basket"}
    assert said["private"] is True
    assert ">Into the basket</button>" in ran.text


def test_a_page_that_no_mutation_touches_comes_out_as_it_went_in(run: CommandLine) -> None:
    page = b"\xef\xbb\xbf<p>nothing\r\nto \xff find</p>"
    ran = run("rewrite", "--rules", str(RULES), "--explain", stdin=page)
    assert (ran.code, ran.out) == (0, page)
    assert ran.err.startswith("passed through: ")


def operation(rules: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = rules["mutations"][0]["mutationPayload"]["operations"][0]
    return first


IN_OPERATION = "$.mutations[0].mutationPayload.operations[0]"
DAMAGES = [
    pytest.param(
        lambda rules: operation(rules).update(contents=operation(rules).pop("content")),
        IN_OPERATION,
        ("`contents`", "target, content"),
        id="a wrong field",
    ),
    pytest.param(
        lambda rules: rules.update(mutation=[]),
        "$",
        ("`mutation`", "mutations, experiments"),
        id="a wrong field on top",
    ),
    pytest.param(
        lambda rules: rules["mutations"][1].update(conditions={"language": {"$within": ["de"]}}),
        "$.mutations[1].conditions.language.$within",
        ("`$within`", "$eq", "$in", "$regex"),
        id="an unknown operator",
    ),
    pytest.param(
        lambda rules: operation(rules)["target"].update(selector="h1 >"),
        f"{IN_OPERATION}.target.selector",
        ("invalid CSS selector", "for example"),
        id="an invalid selector",
    ),
    pytest.param(
        lambda rules: operation(rules).update(verb="setTxt"),
        f"{IN_OPERATION}.verb",
        ("'setTxt'", "`setText`", "removeAttribute"),
        id="an unknown verb",
    ),
]


@pytest.mark.parametrize(("damage", "path", "says"), DAMAGES)
def test_an_unusable_rules_file_is_one_line_with_file_path_and_what_is_allowed(
    damage: Damage, path: str, says: tuple[str, ...], run: CommandLine
) -> None:
    rules = json.loads(RULES.read_text("utf-8"))
    damage(rules)
    (run.folder / "bad.json").write_text(json.dumps(rules), "utf-8")
    rewritten = run("rewrite", "--rules", "bad.json", "--explain", stdin=PAGE)
    linted = run("lint", "bad.json")
    for ran in (rewritten, linted):
        assert (ran.code, ran.out) == (2, b"")
        assert ran.err.count("\n") == 1
        assert ran.err.startswith(f"error: bad.json: {path}: ")
        assert [word for word in says if word not in ran.err] == [], ran.err


def test_a_file_that_is_no_json_or_not_there_is_one_line(run: CommandLine) -> None:
    (run.folder / "half.json").write_text('{"mutations": [', "utf-8")
    for name in ("half.json", "nowhere.json"):
        ran = run("rewrite", "--rules", name, stdin=PAGE)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, b"", 1)
        assert ran.err.startswith(f"error: {name}: ")


def test_lint_accepts_the_examples_and_finds_a_target_that_is_not_on_the_page(run: CommandLine) -> None:
    ran = run("lint", str(RULES), "--page", f"/offers/quince={EXAMPLES / 'page.html'}")
    assert ran.code == 0, ran.text
    assert ran.text.splitlines()[-1].startswith("9 mutations, 0 errors, ")
    (run.folder / "other.html").write_bytes(b"<!doctype html><title>x</title><p>no heading</p>")
    found = run("lint", str(RULES), "--page", "/=other.html", "--json")
    paths = [finding["path"] for finding in json.loads(found.out)]
    assert any(path.startswith("$.mutations[0]") for path in paths), found.text


# ---------------------------------------------------------------- doctor


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """The address of the demo shop."""
    service = Service("demo", "demo", tmp_path, {}, "--listen", "127.0.0.1:0")
    try:
        service.spawn()
        until(lambda: "is open at " in service.text(), 30.0, what="the opening of the shop")
        yield service.text().partition("is open at ")[2].split()[0].rstrip("/")
    finally:
        service.stop()


def test_doctor_says_whether_a_page_of_the_shop_can_be_rewritten(run: CommandLine, demo: str) -> None:
    paths = ("/", "/utf-16", "/latin-1", "/download")
    with ThreadPoolExecutor(2) as people:
        home, wide, latin, download = people.map(lambda path: run("doctor", "--url", f"{demo}{path}"), paths)
    assert (home.code, wide.code, latin.code) == (0, 0, 0)
    assert "ok    rewritable: yes, UTF-8\n" in home.text
    assert "hero" in home.text
    assert "UTF-16" in wide.text
    assert "windows-1252" in latin.text
    assert download.code == 1
    assert "FAIL  rewritable: no (" in download.text


def test_doctor_names_what_forbids_a_rewrite(run: CommandLine, site: Site) -> None:
    site.responses["/fixed"] = response(b"<p>x", "Content-Type: text/html", "Cache-Control: no-transform")
    ran = run("doctor", "--url", f"{site.url}/fixed", "--json")
    assert ran.code == 1
    (refused,) = (check for check in json.loads(ran.out) if not check["fine"])
    assert refused["detail"].startswith("no (no_transform): ")


def test_doctor_without_an_answer_or_an_address(run: CommandLine) -> None:
    nobody = run("doctor", "--url", "http://127.0.0.1:1/")
    assert (nobody.code, nobody.out, nobody.err.count("\n")) == (3, b"", 1)
    nowhere = run("doctor", "--url", "shop.example")
    assert (nowhere.code, nowhere.err.count("\n")) == (2, 1)
    assert "http://" in nowhere.err


# ---------------------------------------------------------------- token and migrate


def test_a_token_is_one_that_the_api_takes(run: CommandLine) -> None:
    secret = {"CONTROL_PLANE_JWT_SECRET": "s" * 40}
    ran = run("token", "--role", "publisher", "--subject", "anna", "--ttl", "8h", environment=secret)
    assert ran.code == 0
    actor = Tokens("s" * 40).verify(ran.text.strip())
    assert (actor.subject, actor.role) == ("anna", Role.PUBLISHER)
    link = run("token", "--role", "admin", "--sign-in", environment=secret)
    assert link.text.startswith("http://127.0.0.1:8081/admin/layout-mutations/sign-in?token=")


def test_a_token_without_a_secret_or_for_no_role_is_refused(run: CommandLine) -> None:
    without = run("token", "--role", "admin")
    assert (without.code, without.out, without.err.count("\n")) == (2, b"", 1)
    assert "CONTROL_PLANE_JWT_SECRET" in without.err
    other = run("token", "--role", "king", environment={"CONTROL_PLANE_JWT_SECRET": "s" * 40})
    assert other.code == 2
    assert "publisher" in other.err


def test_migrate_says_what_is_to_do_does_it_and_then_has_nothing_to_do(run: CommandLine, empty_url: str) -> None:
    here = {"DATABASE_URL": empty_url}
    before = run("migrate", "--check", environment=here)
    assert before.code == 1
    assert "schema 0 of " in before.text
    assert "  0001 ledger: " in before.text
    assert run("migrate", "--check", "--json", environment=here).code == 1
    done = run("migrate", environment=here)
    assert done.code == 0
    assert done.text.count("applied ") == before.text.count("\n  00")
    after = run("migrate", "--check", environment=here)
    assert (after.code, after.text.count("\n")) == (0, 1)
    assert run("migrate", environment=here).text == "up to date\n"


def test_migrate_without_a_database(run: CommandLine) -> None:
    unset = run("migrate", "--check")
    assert (unset.code, unset.err.count("\n")) == (2, 1)
    away = run("migrate", "--check", environment={"DATABASE_URL": "postgresql://anna:secret-word@127.0.0.1:1/shop"})
    assert (away.code, away.err.count("\n")) == (3, 1)
    assert "secret-word" not in away.err


# ---------------------------------------------------------------- help


def test_every_command_teaches_by_example(run: CommandLine) -> None:
    with ThreadPoolExecutor(2) as people:
        answers = dict(zip(COMMANDS, people.map(lambda name: run(name, "--help"), COMMANDS), strict=True))
    for name, ran in answers.items():
        assert ran.code == 0, name
        assert "examples:" in ran.text, name
        assert f"layout-mutation {name}" in ran.text.partition("examples:")[2], name
        assert ran.err == "", name


def test_help_lists_every_command_and_a_wrong_one_is_refused(run: CommandLine) -> None:
    ran = run("--help")
    assert ran.code == 0
    assert [name for name in COMMANDS if name not in ran.text.partition("examples:")[0].split()] == []
    assert "examples:" in ran.text
    wrong = run("rewright")
    assert wrong.code == 2
    assert "rewrite" in wrong.err


MALFORMED = {
    case[0]: case
    for kind in (malformed.TEXTS, malformed.NUMBERS, malformed.DEEP, malformed.LONG_TEXTS, malformed.LONG_LISTS)
    for case in kind
}


@pytest.mark.parametrize(
    "name", ["UTF-16", "half a pair", "4,000 digits", "lists", "in a condition", "10 MB of field", "too many values"]
)
def test_a_malformed_file_is_one_line_on_standard_error(run: CommandLine, name: str) -> None:
    _, content, path, part = MALFORMED[name]
    (run.folder / "rules.json").write_bytes(content())
    for words in (["lint", "rules.json"], ["rewrite", "--rules", "rules.json"]):
        ran = run(*words, stdin=PAGE)
        assert ran.is_one_error(2), ran.err
        assert ran.err.startswith(f"error: rules.json: {path}: ")
        assert part in ran.err
