"""Malformed rules files: bytes, the path that must be named, and a part of what must be said.

Counterpart: the table in `test_bad_rules.py` has those about mutations. Here are the other documents, the text itself, and
sizes. Everything is made when it is asked for, since some files have 30 MB.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.rules.test_bad_rules import TABLE as ABOUT_MUTATIONS
from tests.rules.test_bad_rules import of

Case = tuple[str, Callable[[], bytes], str, str]
"""Name, the file, the path, a part of the problem."""

MILLION = 1_000_000
MANY = 200_000
"""Twice what the longest list may have."""
LONG = "x" * 10_000_000
AT = "$.mutations[0]"


def files(*kinds: list[Case]) -> Iterator[Case]:
    """All cases; those of test_bad_rules too."""
    for number, (content, path, part) in enumerate(ABOUT_MUTATIONS):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        yield f"mutation {number}", lambda data=data: data, path, part  # type: ignore[misc]
    for kind in kinds or (DOCUMENTS, TRIGGERS, TEXTS, NUMBERS, KEYS_TWICE, DEEP, EXPRESSIONS, LONG_TEXTS, LONG_LISTS):
        yield from kind


def _file(name: str, content: Any, path: str, part: str) -> Case:
    return name, lambda: content if isinstance(content, bytes) else json.dumps(content).encode(), path, part


def _one(member: str, path: str, part: str, **fields: Any) -> Case:
    """A file with one document that is wrong somewhere."""
    return _file(f"{member} {fields} {path}"[:70], {member: [fields]}, f"$.{member}[0]{path}", part)


def _trigger(path: str, part: str, **trigger: Any) -> Case:
    content = of(trigger=trigger) | DECLARED
    return _file(f"trigger {trigger}"[:70], content, f"{AT}.trigger{path}", part)


def _journey(**fields: Any) -> dict[str, Any]:
    return {"id": "basket", "kind": "journey", "steps": [{"id": "cart", "pageSlug": "/cart"}]} | fields


def _quiz(**fields: Any) -> dict[str, Any]:
    return {"id": "taste", "kind": "quiz", "questions": [{"id": "tea", "answers": ["green"]}]} | fields


DECLARED: dict[str, Any] = {
    "attributes": [_journey(), _quiz()],
    "experiments": [{"id": "e", "variations": [{"key": "a"}, {"key": "b"}]}],
}
STEPS, ANSWERS = "length <= 20", "length <= 50"

DOCUMENTS: list[Case] = [
    _file("version 3", {"schemaVersion": 3}, "$.schemaVersion", "this program reads 1 to 2"),
    _file("version 0", {"schemaVersion": 0}, "$.schemaVersion", "this program reads 1 to 2"),
    _file("version as text", {"schemaVersion": "2"}, "$.schemaVersion", "Expected `int`, got `str`"),
    _file("version as null", {"schemaVersion": None}, "$.schemaVersion", "Expected `int`, got `null`"),
    _one("attributes", "", "one of journey, quiz, counter, derived", id="a"),
    _one("attributes", ".kind", "did you mean `journey`?", id="a", kind="jorney"),
    _one("attributes", ".id", "a name for an attribute", **_journey(id="a-b")),
    _one("attributes", ".id", "there is an attribute 'lm_uid' already", **_journey(id="lm_uid")),
    _one("attributes", "", "missing required field `steps`", id="a", kind="journey"),
    _one("attributes", ".steps", "length >= 1", **_journey(steps=[])),
    _one("attributes", ".steps", STEPS, **_journey(steps=[{"id": f"s{n}", "pageSlug": "/"} for n in range(21)])),
    _one("attributes", ".steps[0]", "missing required field `pageSlug`", **_journey(steps=[{"id": "s"}])),
    _one("attributes", ".steps[0]", "did you mean `pageSlug`?", **_journey(steps=[{"id": "s", "pageSlg": "/"}])),
    _one("attributes", ".steps[0].id", "a word", **_journey(steps=[{"id": "a.b", "pageSlug": "/"}])),
    _one("attributes", "", "the ids of `steps` must differ", **_journey(steps=[{"id": "s", "pageSlug": "/"}] * 2)),
    _one("attributes", ".within", "session, visitor", **_journey(within="sessions")),
    _one("attributes", ".questions", "length >= 1", **_quiz(questions=[])),
    _one("attributes", ".questions[0].answers", "length >= 1", **_quiz(questions=[{"id": "q", "answers": []}])),
    _one("attributes", ".questions[0].answers", ANSWERS, **_quiz(questions=[{"id": "q", "answers": ["a"] * 51}])),
    _one("attributes", ".questions[0].answers[1]", "a word", **_quiz(questions=[{"id": "q", "answers": ["a", ""]}])),
    _one("attributes", "", "the ids of `questions` must differ", **_quiz(questions=_quiz()["questions"] * 2)),
    _one("attributes", ".max", "<= 1000000", id="visits", kind="counter", max=10**9),
    _one("attributes", ".max", "Expected `int`", id="visits", kind="counter", max=1.5),
    _one("attributes", "", "say where it comes from", id="mood", kind="derived"),
    _one("attributes", ".givenBy", "a dotted path into one", id="mood", kind="derived", givenBy="a b"),
    _one(
        "attributes", ".cases[0]", "missing required field `conditions`", id="m", kind="derived", cases=[{"value": "x"}]
    ),
    _one(
        "attributes",
        ".cases[0].conditions.a.$regex",
        "RE2",
        id="mood",
        kind="derived",
        cases=[{"value": "x", "conditions": {"a": {"$regex": "("}}}],
    ),
    _one(
        "attributes",
        "",
        "may not read each other in a circle",
        id="mood",
        kind="derived",
        cases=[{"value": "x", "conditions": {"mood": "y"}}],
    ),
    _file("attribute twice", {"attributes": [_journey()] * 2}, "$.attributes[1].id", "already"),
    _one("savedGroups", "", "missing required field `members`", id="g"),
    _one("savedGroups", ".members[1]", "Expected `int | float | str`", id="g", members=["a", True]),
    _one("savedGroups", ".members[0]", "length <= 1000", id="g", members=["x" * 1001]),
    _one("savedGroups", ".members", "length <= 100000", id="g", members=["x"] * 100_001),
    _file("group twice", {"savedGroups": [{"id": "g", "members": []}] * 2}, "$.savedGroups[1].id", "already used"),
    _one("toggles", "", "say what is off: `site`", id="t"),
    _one("toggles", "", "did you mean `moduleId`?", id="t", modulId="hero"),
    _one("toggles", ".layer", "global, page, module, micro", id="t", layer="macro"),
    _one("toggles", ".moduleId", "1 to 64 letters", id="t", moduleId="a b"),
    _one("toggles", ".site", "a site is a host", id="t", site="shop.example/"),
    _one("toggles", ".pageSlug", "/offers/*", id="t", pageSlug="offers"),
    _one("toggles", ".isActive", "Expected `bool`", id="t", layer="micro", isActive="yes"),
    _one("toggles", ".note", "length <= 10000", id="t", layer="micro", note="x" * 10_001),
    _file("toggle twice", {"toggles": [{"id": "t", "layer": "micro"}] * 2}, "$.toggles[1].id", "already used"),
    _file(
        "bandit",
        {"experiments": [DECLARED["experiments"][0] | {"bandit": {"weights": {f"k{n}": 1 for n in range(51)}}}]},
        "$.experiments[0].bandit.weights",
        "length <= 50",
    ),
]

TRIGGERS: list[Case] = [
    _trigger(".on", "did you mean `journey`?", on="jorney"),
    _trigger("", "missing required field `step`", on="journey", journey="basket"),
    _trigger(
        ".journey", "there is no journey 'wish' in this file; known: basket", on="journey", journey="wish", step="cart"
    ),
    _trigger(".journey", "there is no journey 'taste'", on="journey", journey="taste", step="cart"),
    _trigger(".step", "there is no step 'pay' in this file; known: cart", on="journey", journey="basket", step="pay"),
    _trigger(".progress", "at, reached, notReached", on="journey", journey="basket", step="cart", progress="past"),
    _trigger(".quiz", "there is no quiz 'q' in this file; known: taste", on="quiz", quiz="q", question="tea"),
    _trigger(".question", "there is no question 'x' in this file; known: tea", on="quiz", quiz="taste", question="x"),
    _trigger(".answers[0]", "no answer 'red'", on="quiz", quiz="taste", question="tea", answers=["red"]),
    _trigger(".emotions", "length >= 1", on="emotion", emotions=[]),
    _trigger(".emotions[0]", "a word", on="emotion", emotions=["a b"]),
    _trigger("", "missing required field `schedule`", on="schedule"),
    _trigger(".schedule.timezone", "unknown time zone", on="schedule", schedule={"timezone": "Mars/Base"}),
    _trigger(".experiment", "there is no experiment 'f' in this file; known: e", on="experiment", experiment="f"),
    _trigger(".variations[1]", "no variation 'c'; it has a, b", on="experiment", experiment="e", variations=["a", "c"]),
    _trigger(".devices[0]", "bot, desktop, mobile, other, tablet, tv", on="device", devices=["phone"]),
    _trigger(".devices", "length <= 100", on="device", devices=["tv"] * 101),
    _trigger(".regions[0]", "ISO 3166-1", on="region", regions=["de"]),
    _trigger(".locales[1]", "RFC 4647", on="locale", locales=["de", "d e"]),
    _trigger("", "say where visits come from", on="referral"),
    _trigger(".referrers[0]", "a site is a host", on="referral", referrers=["a/b"]),
    _trigger(".first", "Expected `bool`", on="referral", referrers=["a.b"], first=1),
    _trigger(".when.event", "did you mean `scrollDepth`?", on="client", when={"event": "scrolldepth"}),
    _trigger(".when.percent", "<= 100", on="client", when={"event": "scrollDepth", "percent": 101}),
    _trigger(".when.seconds", ">= 1", on="client", when={"event": "idle", "seconds": 0}),
    _trigger(".when.name", "DOM event", on="client", when={"event": "customEvent", "name": "a b"}),
    _trigger(
        ".when.target.selector", "CSS selector", on="client", when={"event": "visible", "target": {"selector": "["}}
    ),
]

TEXTS: list[Case] = [
    _file("empty", b"", "$", "the file is empty; an object is expected"),
    _file("white space", b" \r\n\t ", "$", "the file is empty"),
    _file("byte order mark", b"\xef\xbb\xbf{}", "$", "begins with a byte order mark; save it as UTF-8"),
    _file("UTF-16", '{"mutations": []}'.encode("utf-16"), "$", "the file is UTF-16; save it as UTF-8"),
    _file("UTF-16 big", b"\xfe\xff" + "{}".encode("utf-16-be"), "$", "the file is UTF-16"),
    _file("UTF-16 unmarked", '{"mutations": []}'.encode("utf-16-le"), "$", "the file is UTF-16 or UTF-32"),
    _file("UTF-32", "{}".encode("utf-32"), "$", "the file is UTF-32"),
    _file("Latin-1", '{"segments":\n[{"id": "ü"}]}'.encode("latin-1"), "$", "byte 0xfc is not UTF-8 (line 2, byte 10)"),
    _file("surrogate in bytes", b'{"a": "\xed\xa0\x80"}', "$", "byte 0xed is not UTF-8"),
    _file(
        "half a pair", b'{"segments": [{"id": "s", "name": "\\ud800 and more"}]}', "$", "utf-16 surrogate pair (line 1,"
    ),
    _file("the other half", b'{"segments": [{"id": "s", "name": "\\udc00 and more"}]}', "$", "utf-16 surrogate pair"),
    _file("half at the end", b'{"a": "\\ud800"', "$", "not JSON"),
    _file("cut off", b'{"mutations": [{"id": "m"', "$", "not JSON: Input data was truncated"),
    _file("comma", b'{"mutations": [],}', "$", "not JSON"),
    _file(
        "comment",
        b'{\n  // why\n  "mutations": []}',
        "$",
        "not JSON: JSON is malformed: object keys must be strings (line 2",
    ),
    _file("single quotes", b"{'mutations': []}", "$", "not JSON"),
    _file("control character", b'{"a": "\x00"}', "$", "not JSON"),
    _file("two files", b"{}{}", "$", "trailing characters"),
    _file("zeros", b"\x00" * 100, "$", "the file is UTF-16 or UTF-32"),
    _file("gzip", b"\x1f\x8b\x08\x00" + b"x" * 40, "$", "not JSON"),
    _file("YAML", b"mutations:\n  - id: a\n", "$", "not JSON"),
    _file("a text", b'"mutations"', "$", "Expected `object`, got `str`"),
    _file("null", b"null", "$", "Expected `object`, got `null`"),
]

_OPERATION = f"{AT}.mutationPayload.operations[0]"


def _writes(**content: Any) -> dict[str, Any]:
    operation = {"verb": "append", "target": {"selector": "p"}, "content": content}
    return of(mutationPayload={"operations": [operation]})


_IN_SEGMENT = b'{"segments": [{"id": "s", "conditions": {"a": {"$in": [1, %s]}}}]}'
_AT_SEGMENT = "$.segments[0].conditions.a.$in[1]"
NUMBERS: list[Case] = [
    *(
        _file(f"{number!r} in a condition", _IN_SEGMENT % number, _AT_SEGMENT, f"{number.decode()[:8]}")
        for number in (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e999")
    ),
    _file("NaN as a list", b'{"mutations": NaN}', "$.mutations", "NaN can't be used; allowed here: a whole number"),
    _file("1e400 as a share", b'{"experiments": [{"coverage": 1e400}]}', "$.experiments[0].coverage", "1e400 can't be"),
    _file("65 bits", _IN_SEGMENT % b"18446744073709551616", _AT_SEGMENT, "must fit into 64 bits"),
    _file("65 bits below", _IN_SEGMENT % b"-9223372036854775809", _AT_SEGMENT, "must fit into 64 bits"),
    _file("4,000 digits", _IN_SEGMENT % (b"9" * 4_000), _AT_SEGMENT, "must fit into 64 bits"),
    _file("a million digits", _IN_SEGMENT % (b"9" * MILLION), _AT_SEGMENT, "(1,000,000 characters) can't be used"),
    _file(
        "65 bits in a group",
        b'{"savedGroups": [{"id": "g", "members": [18446744073709551616]}]}',
        "$.savedGroups[0].members[0]",
        "<= 9223372036854775807",
    ),
    _file("priority", of(priority=10**40), f"{AT}.priority", "<= 1000000"),
    _file("a version beyond 64 bits", of(version=2**70), f"{AT}.version", "<= 2147483647"),
    _file("a pointer beyond 64 bits", of(rollbackPointer=2**70), f"{AT}.rollbackPointer", "<= 2147483647"),
    _file(
        "a prop beyond 64 bits",
        _writes(component="card", props={"a": 2**70}),
        f"{_OPERATION}.content.props.a",
        "<= 9223372036854775807",
    ),
    _file("version", of(version=2.5), f"{AT}.version", "Expected `int`"),
    _file("leading zero", b'{"schemaVersion": 02}', "$", "not JSON"),
    _file("hexadecimal", b'{"schemaVersion": 0x2}', "$", "not JSON"),
]

KEYS_TWICE: list[Case] = [
    _file("mutations twice", b'{"mutations": [], "mutations": []}', "$", "the key `mutations` is there twice"),
    _file("id twice", b'{"modules": [{"id": "a", "id": "b"}]}', "$.modules[0]", "the key `id` is there twice"),
    _file(
        "attribute twice in a condition",
        b'{"segments": [{"id": "s", "conditions": {"$and": [{"a": 1, "a": 2}]}}]}',
        "$.segments[0].conditions.$and[0]",
        "the key `a` is there twice; only the last one would count",
    ),
    _file("escaped", b'{"modules": [], "m\\u006fdules": []}', "$", "the key `modules` is there twice"),
    _file("version twice", b'{"schemaVersion": 2, "schemaVersion": 2}', "$", "the key `schemaVersion` is there twice"),
]


def _nested(before: str, after: str, inner: tuple[str, str] = ("[", "]"), times: int = 100_000) -> bytes:
    return (before + inner[0] * times + "1" + inner[1] * times + after).encode()


_CONDITION = '{"segments": [{"id": "s", "conditions": {"a": ', "}}]}"
DEEP: list[Case] = [
    _file("lists", _nested("", ""), "$", "nested too deeply; a condition may be 20 levels deep"),
    _file("objects", _nested("", "", ('{"a": ', "}")), "$", "nested too deeply"),
    _file("never closed", b"[" * 100_000, "$", "nested too deeply"),
    _file("in an unknown field", _nested('{"x": ', "}"), "$", "nested too deeply"),
    _file("in a condition", _nested(*_CONDITION), "$", "nested too deeply"),
    _file(
        "in a condition, version 2", _nested('{"schemaVersion": 2, ' + _CONDITION[0][1:], _CONDITION[1]), "$", "nested"
    ),
    _file(
        "21 in a condition", _nested(*_CONDITION, times=21), "$.segments[0].conditions", "nested more than 20 levels"
    ),
    _file(
        "$not",
        _nested('{"segments": [{"id": "s", "conditions": ', "}]}", ('{"$not": ', "}"), 500),
        "$.segments[0].conditions",
        "nested more than 20 levels",
    ),
    _file(
        "in props",
        _nested('{"mutations": [{"mutationType": "insert", "mutationPayload": {"content": {"props": {"a": ', "}}}}]}"),
        "$",
        "nested too deeply",
    ),
]

EXPRESSIONS: list[Case] = [
    _file(f"regex {pattern[:20]}", of(conditions={"a": {"$regex": pattern}}), f"{AT}.conditions.a.$regex", part)
    for pattern, part in (
        ("(a)\\1", "invalid escape sequence"),
        ("(?<=a)b", "invalid perl operator"),
        ("(?=a)", "invalid perl operator"),
        ("a++", "bad repetition operator"),
        ("a{1001}", "invalid repetition size"),
        ("(a{1,100}){1,100}", "invalid repetition size"),
        ("((a{10}){10}){11}", "invalid repetition size"),
        ("\\pN{1000}", "pattern too large"),
        ("\\p{L}{1,200}", "pattern too large"),
        ("(" * 500 + ")" * 499, "missing )"),
        ("[z-a]", "invalid character class range"),
        ("x" * 1_025, "longer than 1024 characters"),
        ("(" * 50_000 + ")" * 50_000, "at most 10,000 are allowed"),
    )
]

LONG_TEXTS: list[Case] = [
    ("10 MB of name", lambda: json.dumps(of(name=LONG)).encode(), f"{AT}.name", "length <= 200"),
    ("10 MB of note", lambda: json.dumps(of(note=LONG)).encode(), f"{AT}.note", "length <= 10000"),
    ("10 MB of id", lambda: json.dumps(of(id=LONG)).encode(), f"{AT}.id", "1 to 64 letters"),
    ("10 MB of page", lambda: json.dumps(of(pageSlug=LONG)).encode(), f"{AT}.pageSlug", "length <= 1024"),
    (
        "10 MB of type",
        lambda: json.dumps(of(mutationType=LONG)).encode(),
        f"{AT}.mutationType",
        "allowed here: set, insert",
    ),
    (
        "10 MB of trigger",
        lambda: json.dumps(of(trigger={"on": LONG})).encode(),
        f"{AT}.trigger.on",
        "allowed here: pageLoad",
    ),
    ("10 MB of field", lambda: json.dumps({LONG: 1}).encode(), "$", "allowed here: schemaVersion, mutations"),
    (
        "10 MB of condition",
        lambda: json.dumps(of(conditions={"a": LONG})).encode(),
        f"{AT}.conditions.a",
        "at most 10,000",
    ),
    ("10 MB of attribute", lambda: json.dumps(of(conditions={LONG: 1})).encode(), f"{AT}.conditions", "at most 10,000"),
    (
        "10 MB of operator",
        lambda: json.dumps(of(conditions={"a": {"$" + LONG: 1}})).encode(),
        f"{AT}.conditions.a",
        "at most 10,000",
    ),
    ("10 MB of html", lambda: json.dumps(_writes(html=LONG)).encode(), f"{_OPERATION}.content.html", "length <= 65536"),
    ("10 MB of text", lambda: json.dumps(_writes(text=LONG)).encode(), f"{_OPERATION}.content.text", "length <= 65536"),
    (
        "10 MB of member",
        lambda: json.dumps({"savedGroups": [{"id": "g", "members": [LONG]}]}).encode(),
        "$.savedGroups[0].members[0]",
        "length <= 1000",
    ),
    ("33 MB", lambda: b" " * (32 * 1024 * 1024 + 1), "$", "the file has 33,554,433 bytes; at most 33,554,432"),
]


def _many(before: str, entry: str, after: str) -> Callable[[], bytes]:
    """A file with a list or an object with far more entries than any may have; `#` in one is its number."""
    parts = entry.split("#")

    def made() -> bytes:
        return (before + ",".join(str(number).join(parts) for number in range(MANY)) + after).encode()

    return made


_SET = '{"mutations": [{"id": "m", "mutationType": "set", "mutationPayload": {"operations": ['
_VARIANT = (
    '{"mutations": [{"id": "m", "mutationType": "variant", "mutationPayload": {"experimentId": "e", "variations": {'
)
LONG_LISTS: list[Case] = [
    ("too many mutations", _many('{"mutations": [', "{}", "]}"), f"{AT}", "missing required field `mutationType`"),
    ("too many modules", _many('{"modules": [', '{"id":"m#"}', "]}"), "$.modules", "length <= 100000"),
    (
        "too many segments",
        _many('{"segments": [', '{"id":"#","conditions":{}}', "]}"),
        "$.segments",
        "length <= 100000",
    ),
    (
        "too many groups",
        _many('{"savedGroups": [', '{"id":"#","members":[]}', "]}"),
        "$.savedGroups",
        "length <= 100000",
    ),
    (
        "too many toggles",
        _many('{"toggles": [', '{"id":"#","moduleId":"m"}', "]}"),
        "$.toggles",
        "length <= 100000",
    ),
    (
        "too many experiments",
        _many('{"experiments": [', "{}", "]}"),
        "$.experiments[0]",
        "missing required field `id`",
    ),
    (
        "too many members",
        _many('{"savedGroups": [{"id": "g", "members": [', "#", "]}]}"),
        "$.savedGroups[0].members",
        "length <= 100000",
    ),
    (
        "too many values",
        _many('{"segments": [{"id": "s", "conditions": {"a": {"$in": [', "#", "]}}}]}"),
        "$.segments[0].conditions",
        "more than 10,000 values",
    ),
    (
        "too many conditions",
        _many('{"segments": [{"id": "s", "conditions": {', '"a#":1', "}}]}"),
        "$.segments[0].conditions",
        "more than 10,000 values",
    ),
    ("too many operations", _many(_SET, "{}", "]}}]}"), _OPERATION, "missing required field `verb`"),
    (
        "too many variations",
        _many(_VARIANT, '"v#":{}', "}}}]}"),
        f"{AT}.mutationPayload.variations",
        "length <= 50",
    ),
    (
        "too many, one of them bad",
        _many(_VARIANT, '"v#":#', "}}}]}"),
        f"{AT}.mutationPayload.variations",
        "length <= 50",
    ),
    (
        "too many steps",
        _many('{"attributes": [{"id": "a", "kind": "journey", "steps": [', '{"id":"#","pageSlug":"/"}', "]}]}"),
        "$.attributes[0].steps",
        "length <= 20",
    ),
    (
        "too many days",
        _many('{"mutations": [{"id": "m", "mutationType": "set", "schedule": {"daysOfWeek": [', '"mon"', "]}}]}"),
        f"{AT}.schedule.daysOfWeek",
        "length <= 7",
    ),
    (
        "too many words",
        _many(
            '{"mutations": [{"id": "m", "mutationType": "set", "trigger": {"on": "device", "devices": [',
            '"tv"',
            "]}}]}",
        ),
        f"{AT}.trigger.devices",
        "length <= 100",
    ),
]
