"""One visit, decided from its request at the edge and from JSON that describes it: preview, `/apply` and the command line
must say what the edge does. And many visits of one page: what caches may share is the same for all of them.
"""

import random
from typing import Any

from msgspec import structs

from rules.decision import Decision, decide
from rules.table import DecisionTable
from service.descriptions import described
from sidecar.context.attributes import attributes_of
from sidecar.context.contexts import Contexts, context_of_address
from sidecar.context.visit import Visit
from sidecar.settings import SidecarSettings
from tests.rules.making import removing, table
from tests.sidecar.visiting import NOW, visiting

VISITS = 1_500
SETTINGS = SidecarSettings(
    upstream="http://127.0.0.1:1",
    cookies="plan,seen",
    headers="X-Tier",
    country_header="X-Country",
    region_header="X-Region",
    city_header="X-City",
    timezone_header="X-Zone",
)
SAID_BY_REQUESTS = frozenset(
    "lm_uid returning locale referrer userAgent country region city timezone cookies headers".split()
)
"""What only a request has; the rest must follow from it in both places."""

DECLARED: list[dict[str, Any]] = [
    {"kind": "derived", "id": "emotion", "givenBy": "page.emotion", "cases": [
        {"value": "hurry", "conditions": {"device": "mobile", "hour": {"$gte": 12}}},
        {"value": "calm", "conditions": {"campaign.source": {"$exists": True}}},
    ]},
    {"kind": "derived", "id": "archetype", "otherwise": "guest", "cases": [
        {"value": "patron", "conditions": {"cookies.plan": {"$inGroup": "plans"}}},
        {"value": "finder", "conditions": {"emotion": "hurry", "query.q": {"$regex": "tea"}}},
    ]},
    {"kind": "derived", "id": "part", "givenBy": "slug"},
]  # fmt: skip
TRIGGERS: list[dict[str, Any]] = [
    {"on": "pageLoad"},
    {"on": "emotion", "emotions": ["hurry", "joy"]},
    {"on": "device", "devices": ["mobile", "bot", "desktop"]},
    {"on": "region", "regions": ["DE", "AT-9"]},
    {"on": "locale", "locales": ["de", "en-US"]},
    {"on": "referral", "referrers": ["*.news.example", "news.example"]},
    {"on": "referral", "sources": ["Mail"], "campaigns": ["spring"]},
    {"on": "segment", "segment": "patrons"},
    {"on": "experiment", "experiment": "e", "variations": ["new"]},
    {"on": "schedule", "schedule": {"timezone": "Europe/Berlin", "daysOfWeek": ["mon"]}},
]
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"archetype": {"$in": ["patron", "guest"]}},
    {"part": "tea", "host": "shop.example"},
    {"layoutId": "wide"},
    {"$or": [{"browser.major": {"$gte": 100}}, {"os.name": "iOS"}]},
    {"dayOfWeek": "mon", "date": {"$gte": "2026-03-01"}},
    {"headers.x-tier": {"$ini": ["GOLD"]}},
    {"$not": {"language": "de"}},
    {"mobile": True},
    {"city": {"$notInGroup": "plans"}},
    {"page.stock": {"$lt": 5}},
    {"url": {"$regex": "q=tea"}},
    {"lm_uid": {"$exists": True}, "returning": False},
]
FIELDS: dict[str, list[str]] = {
    "User-Agent": ["", "curl/8.0", "Googlebot/2.1 (+http://www.google.com/bot.html)",
                   "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1",
                   "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"],
    "Accept-Language": ["de-DE,de;q=0.9", "en-US", "*", "fr;q=0.1, pt-BR;q=nan, de;q=inf"],
    "Referer": ["https://www.news.example/a", "https://NEWS.example", "http://[broken", ""],
    "Cookie": ["plan=gold; seen=1", "plan=gold; plan=tin", "plan=\udce4", "plan="],
    "X-Tier": ["gold", "GOLD\udcff", "x" * 600],
    "X-Country": ["DE", "at", "XX"], "X-Region": ["BY", "AT-9", "?"], "X-City": ["Gr%C3%BCn", "gold"],
    "X-Zone": ["Europe/Berlin", "Mars/Base", "America/New_York"],
}  # fmt: skip
TARGETS = ["/", "/tea", "/offers/tea/?q=tea&q=coffee", "/a?utm_source=mail&utm_campaign=spring", "/%74ea?utm_source="]
PAGES: list[dict[str, Any] | None] = [None, {"emotion": "joy"}, {"stock": 3, "emotion": ""}, {"stock": "4"}]


def drawn_table(dice: random.Random, most: int = 8) -> DecisionTable:
    rules = [
        removing(
            f"m{number}",
            trigger=dice.choice(TRIGGERS),
            conditions=dice.choice(CONDITIONS),
            layoutId=dice.choice(["*", "*", "wide"]),
            moduleId=dice.choice([None, "hero"]),
        )
        for number in range(most)
    ]
    unit = dice.choice(["lm_uid", "archetype", "path", "cookies", "part"])
    return table(
        *rules,
        attributes=DECLARED,
        savedGroups=[{"id": "plans", "members": ["gold"]}],
        segments=[{"id": "patrons", "conditions": {"archetype": "patron"}}],
        experiments=[{"id": "e", "variations": [{"key": "control"}, {"key": "new"}], "unit": unit}],
        toggles=[{"id": "t", "moduleId": "hero", "pageSlug": "/tea"}],
    )


def drawn_visit(dice: random.Random, target: str | None = None) -> Visit:
    fields = {name: dice.choice(values) for name, values in FIELDS.items() if dice.random() < 0.7}
    return visiting(target or dice.choice(TARGETS), unit=dice.choice([None, "unit-1234", "unit-5678"]), **fields)


def told(decision: Decision) -> object:
    return (decision.outcomes, decision.key, decision.private, decision.reads, dict(decision.assignments))


def test_a_request_and_its_description_are_decided_alike() -> None:
    dice = random.Random(41)
    tables = [drawn_table(dice) for _ in range(40)]
    contexts = Contexts(SETTINGS, refused=lambda _: None)
    applied = 0
    for _ in range(VISITS):
        rules, visit = dice.choice(tables), drawn_visit(dice)
        said = {"layoutId": dice.choice([None, "wide"]), "page": dice.choice(PAGES)}
        at_edge = decide(rules, contexts.of(visit, rules, NOW, said=said, toggles=None, held=frozenset()))
        known = attributes_of(visit, SETTINGS.attribute_sources, SAID_BY_REQUESTS, {}, NOW)
        written = {name: value for name, value in known.items() if name in SAID_BY_REQUESTS}
        written |= {name: value for name, value in said.items() if value is not None}
        in_json = described(context_of_address(visit.url, written, NOW), rules)
        assert told(decide(rules, in_json)) == told(at_edge), (visit, said)
        applied += bool(at_edge.groups)
    assert applied > VISITS / 4


def test_a_page_that_caches_may_share_is_the_same_for_all_visitors() -> None:
    dice = random.Random(42)
    contexts = Contexts(SETTINGS, refused=lambda _: None)
    shared = enrolled = 0
    for _ in range(300):
        rules, target = drawn_table(dice, dice.randint(1, 2)), dice.choice(TARGETS)
        said = {"layoutId": dice.choice([None, "wide"]), "page": dice.choice(PAGES)}
        found = set()
        for _ in range(12):
            visit = drawn_visit(dice, target)
            context = contexts.of(visit, rules, NOW, said=said, toggles=None, held=frozenset())
            remembers = dice.choice([{}, {"e__0": "control"}, {"e__0": "new"}])
            decision = decide(rules, structs.replace(context, assigned=remembers))
            found.add((decision.private, decision.key))
            enrolled += bool(decision.assignments) and not decision.private
        # One visitor for whom it is public puts it into the cache, for all others.
        if any(not private for private, _ in found):
            assert len(found) == 1, (rules.rules, target, said)
            shared += 1
    assert shared > 30
    assert enrolled > 20
