"""Fifty people on two devices each, rules that overlap, four workers: every page is what the rules say of that visit."""

import asyncio
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from yarl import URL

from control_plane.admin.addresses import PREFIX
from control_plane.tokens import Role, Tokens, sign_in_link
from rules.compiler import compile_table
from rules.model import decode_rules
from rules.previews import PARAMETER
from tests.control_plane.admin.person import Person
from tests.end_to_end.crowd import (
    HOST,
    JWT_SECRET,
    MODULES,
    PATHS,
    PEOPLE,
    UNITS,
    Device,
    Expected,
    devices,
    modules_of,
    page_of,
    rules,
)
from tests.end_to_end.site import Site
from tests.end_to_end.stack import Stack, until
from tests.end_to_end.visitor import Answer, Line, Visitors
from tests.servers import new_database, new_server_folder

TOKEN = "a token of the operators"
OPERATOR = f"X-Layout-Mutation-Token: {TOKEN}"
WORKERS = 4


@pytest.fixture(scope="module")
def shop(postgres_server: str) -> Iterator[Stack]:
    """Everything, with four workers, in front of the shop; the rules are in force, and are again after each test but the last."""
    folder = new_server_folder()
    settings = {
        "SIDECAR_OPS_TOKEN": TOKEN,
        "SIDECAR_UNITS": UNITS,
        "SIDECAR_UNIT_JWT_KEYS": JWT_SECRET,
        "SIDECAR_REWRITE_MS_MAX": "10000",
    }
    with new_database(postgres_server) as database_url, Site() as site:
        for path in PATHS:
            site.page(path, page_of(path))
        origins = {"CONTROL_PLANE_ORIGINS": msgspec.json.encode({HOST: site.url}).decode()}
        whole = Stack(
            folder, database_url=database_url, upstream=site.url, workers=WORKERS, control_plane=origins, **settings
        )
        try:
            whole.start()
            publish(whole, rules())
            yield whole
        finally:
            whole.stop()
            shutil.rmtree(folder)


@pytest.fixture
def lines(shop: Stack) -> Iterator[list[Line]]:
    """A connection to each worker."""
    with shop.sidecar.lines() as opened:
        assert len(opened) == WORKERS
        yield opened


def publish(shop: Stack, file: dict[str, Any]) -> None:
    """Import a rules file, and wait until each worker has it."""
    in_force(shop, shop.control_plane.ask("POST", "import", file)["publication"]["tableVersion"])


def in_force(shop: Stack, version: int) -> None:
    until(
        lambda: all(worker["table"]["version"] == version for worker in shop.sidecar.workers()), what=f"table {version}"
    )


def expected_of(shop: Stack) -> Expected:
    """By the rules that the control plane says it has, compiled here."""
    file = decode_rules(msgspec.json.encode(shop.control_plane.ask("GET", "export")))
    return Expected(compile_table(file, version=1, now=datetime.now(UTC)))


def test_every_page_is_what_the_rules_say_and_a_user_sees_one_variation(shop: Stack, lines: list[Line]) -> None:
    expected, chance = expected_of(shop), random.Random(6)
    crowd = list(devices())
    visits = [
        (device, target) for pair in crowd for device in pair for target in (*PATHS, "/offers/quince?from=news", "/")
    ]
    chance.shuffle(visits)
    applied: Counter[str] = Counter()
    for number, (device, target) in enumerate(visits):
        answer = device.load(lines[number % WORKERS], target)
        decision = expected.decision(device, target)
        assert answer.body == expected.page(device, target), (device, target, decision.outcomes)
        assert answer.get(b"Cache-Control") == b"private"
        device.seen |= set(decision.assignments.items())
        applied.update(group.mutation_id for group in decision.groups)
    assert len(visits) == PEOPLE * 2 * 6
    assert set(applied) == {one["id"] for one in rules()["mutations"]}

    for pair in crowd:
        of_the_visitor = [{key for name, key in device.seen if name == "by-visitor"} for device in pair]
        assert [len(keys) for keys in of_the_visitor] == [1, 1]  # each browser keeps its own
        of_the_user = [{one for one in device.seen if one[0] != "by-visitor"} for device in pair]
        assert of_the_user[0] == of_the_user[1]
        assert bool(of_the_user[0]) is (pair[0].kind != "stranger")
    shown = defaultdict[str, set[str]](set)
    for pair in crowd:
        for name, key in pair[0].seen | pair[1].seen:
            shown[name].add(key)
    assert {name: len(keys) for name, keys in shown.items()} == {
        "by-visitor": 3, "by-account": 2, "by-customer": 2, "by-member": 2, "of-the-thanked": 2,
    }  # fmt: skip
    assert any(
        len({keys for _, keys in pair[0].seen ^ pair[1].seen}) for pair in crowd
    )  # two browsers are two visitors


def test_a_switch_acts_on_its_module_alone(shop: Stack, lines: list[Line]) -> None:
    expected, target = expected_of(shop), "/offers/quince?from=news"
    for device in [device for pair in list(devices())[:10] for device in pair]:
        line = lines[device.owner % WORKERS]
        plain = device.load(line, target).body
        assert plain == expected.page(device, target)
        origin, whole = modules_of(page_of("/offers/quince")), modules_of(plain)
        for module in MODULES:
            without = switched(device, line, target, f"X-Layout-Mutation-Disable: {module}")
            assert without.body == expected.page(device, target, disabled=frozenset({module}))
            assert changed(whole, without.body) <= {module}
            alone = switched(device, line, target, f"X-Layout-Mutation-Only: {module}")
            assert alone.body == expected.page(device, target, only=frozenset({module}))
            assert changed(origin, alone.body) <= {module}
            assert (
                device.load(line, target, f"X-Layout-Mutation-Disable: {module}").body == plain
            )  # no token, no switch
        assert changed(whole, switched(device, line, target, "X-Layout-Mutation-Disable: offers").body) == {"offers"}
        forced = switched(device, line, target, "X-Layout-Mutation-Force: by-visitor=red")
        assert forced.body == expected.page(device, target, forced={"by-visitor": "red"})
        assert changed(whole, forced.body) <= {"cta"}
        assert b"Buy now" in forced.body
        off = switched(device, line, target, "X-Layout-Mutation: off")
        assert (off.body, off.verdict) == (page_of("/offers/quince"), "passed; reason=switched_off")
        assert device.load(line, target).body == plain

    before = {(number, path): line.get(path, *STRANGER).body for number, line in enumerate(lines) for path in PATHS}
    made = shop.control_plane.ask("POST", "toggles", {"id": "no-offers", "moduleId": "offers"})
    in_force(shop, made["publication"]["tableVersion"])
    for (number, path), page in before.items():
        after = modules_of(lines[number].get(path, *STRANGER).body)
        assert after["offers"] == modules_of(page_of(path))["offers"] != modules_of(page)["offers"]
        assert after | {"offers": b""} == modules_of(page) | {"offers": b""}
    lifted = shop.control_plane.ask("DELETE", "toggles/no-offers")
    in_force(shop, lifted["publication"]["tableVersion"])
    assert {
        (number, path): line.get(path, *STRANGER).body for number, line in enumerate(lines) for path in PATHS
    } == before


STRANGER = ("Cookie: lm_uid=somebody-who-was-here", "Accept-Language: en", "Sec-CH-UA-Mobile: ?0")


def switched(device: Device, line: Line, target: str, *fields: str) -> Answer:
    """A page as an operator sees it, which no cache may keep."""
    answer = device.load(line, target, OPERATOR, *fields)
    assert answer.get(b"Cache-Control") == b"no-store"
    return answer


def changed(before: dict[str, bytes], page: bytes) -> set[str]:
    """The modules that differ; `` for what stands in none."""
    after = modules_of(page)
    assert before.keys() == after.keys()
    return {name for name in after if after[name] != before[name]}


def test_a_page_is_of_one_table_and_a_preview_is_for_one_person(shop: Stack, lines: list[Line]) -> None:
    device = Device(0, mobile=False, unit="somebody-who-was-here")
    expected = expected_of(shop)
    right = of_any_variation(expected)
    pages: Counter[bytes] = Counter()

    def whole(answer: Answer) -> bool:
        pages[answer.body] += 1
        return answer.body in right

    def visit(query: str = "") -> set[bytes]:
        return {line.get(f"/?{query}" if query else "/", *device.fields()).body for line in lines}

    with Visitors(shop.sidecar.port, whole, people=4) as visitors:
        link = asyncio.run(link_from_the_admin(shop))
        token = link.partition("?")[2]
        assert token.startswith(PARAMETER)
        for line in lines:
            shown = line.get(f"/?{token}", *device.fields())
            assert b"<h1>Only for me</h1>" in shown.body
            assert shown.get(b"Cache-Control") == b"no-store"
            assert not line.get("/", *device.fields()).body.count(b"Only for me")
        damaged = token[:-2] + ("AA" if not token.endswith("AA") else "BB")
        assert visit(damaged) == visit() == {expected.page(device, "/")}

        for edition in ("second", "third"):
            file = rules(edition)
            ahead = Expected(
                compile_table(
                    decode_rules(msgspec.json.encode(as_stored(shop, file))), version=1, now=datetime.now(UTC)
                )
            )
            right += of_any_variation(ahead)
            publish(shop, file)
            assert visit() == {ahead.page(device, "/")}
            visitors.wait_for(20)
    assert not visitors.failures
    assert not any(b"Only for me" in page for page in pages)
    assert {edition for page in pages for edition in (b"first", b"second", b"third") if edition in page} == {
        b"first", b"second", b"third",
    }  # fmt: skip


def as_stored(shop: Stack, file: dict[str, Any]) -> dict[str, Any]:
    """The file, with the experiments as the control plane keeps them: it has fixed their seeds."""
    return file | {"experiments": shop.control_plane.ask("GET", "export")["experiments"]}


def of_any_variation(expected: Expected) -> list[bytes]:
    """The home page for a stranger, whichever unit it is given."""
    stranger = Device(0, mobile=False)
    found = {}
    for number in range(60):
        stranger.unit = f"stranger-number-{number}"
        decision = expected.decision(stranger, "/")
        found[decision.key] = expected.page(stranger, "/")
    assert len(found) == 3
    return list(found.values())


async def link_from_the_admin(shop: Stack) -> str:
    """A draft, previewed in the admin pages by an editor who has signed in, and the link that these offer."""
    base = f"http://127.0.0.1:{shop.control_plane.port}"
    person = Person(URL(base), Tokens(shop.keys.jwt_secret))
    try:
        sign_in = URL(sign_in_link(shop.keys.jwt_secret, base, subject="editor", role=Role.EDITOR))
        await person.submit(await person.open(sign_in.raw_path_qs), "main form")
        draft: dict[str, Any] = {"mutationType": "set", "name": "Draft", "isActive": False, "layer": "micro", "priority": 900,
                 "mutationPayload": {"operations": [{"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "Only for me"}}]}}  # fmt: skip
        saved = shop.control_plane.ask("POST", "mutations", draft)
        page = await person.open(f"{PREFIX}/preview?mutation={saved['id']}&previewSite=shop.example&previewAddress=/")
        node = page.tree.css_first("#on-site")
        assert node is not None, page.words()
        link = node.attributes["href"] or ""
        assert link.startswith("https://shop.example/?"), page.words("#on-site")
        return link
    finally:
        await person.session.close()
