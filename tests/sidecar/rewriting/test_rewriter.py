"""What the rewriting child answers, in this process."""

import msgspec

from rules.group import Group
from rules.html import PassedThrough, Rewritten, Script, apply_groups
from rules.html.skeleton import Gap
from rules.model import Delivery, decode_operations
from rules.reasons import Reason
from sidecar.rewriting.rewriter import Apply, Changes, DecodedGroups, Pair, Reply, Request, answer, answering, learned

GROUPS = (
    Group("m-1", decode_operations(b'[{"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "New"}}]')),
)
ENCODED = msgspec.msgpack.encode(GROUPS)
PAGE = b"<h1>Old</h1>"


def request(number: int, page: bytes = PAGE) -> Request:
    return Request(number, ENCODED, "utf-8", None, page)


def replied(*asked: Request | Pair) -> list[Reply]:
    """What one child answers to all of these, as bytes on both ways."""
    answered = answering()
    said = [answered(bytearray(msgspec.msgpack.encode(one))) for one in asked]
    return [msgspec.msgpack.decode(one, type=Reply) for one in said]


def test_answers_with_edits_or_the_reason_why_there_are_none() -> None:
    replies = replied(request(1), request(2, b"<p>none</p>"), request(3))
    assert [reply.number for reply in replies] == [1, 2, 3]
    expected = apply_groups(PAGE, GROUPS, charset="utf-8")
    assert isinstance(expected, Rewritten)
    assert replies[0].changes == Changes(
        expected.edits, expected.outcomes, expected.style_hashes, expected.charset, expected.touched
    )
    assert replies[1].passed == apply_groups(b"<p>none</p>", GROUPS, charset="utf-8")


def test_a_page_may_call_the_browser_script() -> None:
    group = msgspec.structs.replace(GROUPS[0], delivery=Delivery.CLIENT)
    encoded, page = msgspec.msgpack.encode((group,)), b"<head></head><h1>Old</h1>"
    for script in (Script("/s.js"), None):
        message = msgspec.msgpack.encode(Request(1, encoded, None, None, page, script))
        reply = answer(msgspec.msgpack.decode(message, type=Request), DecodedGroups(), apply_groups)
        assert (reply.changes is not None and reply.changes.calls_script) is (script is not None)


def test_a_pair_teaches_where_pages_differ() -> None:
    pair = Pair(7, ENCODED, "utf-8", False, (), b"<p>abc</p><h1>Old</h1>", b"<p>xy</p><h1>Old</h1>")
    reply, following = replied(pair, request(8))
    assert (reply.number, reply.changes, reply.passed) == (7, None, None)
    assert reply.lesson is not None
    assert reply.lesson.gaps == (Gap(3, 6),)
    assert following.number == 8


def test_a_bug_teaches_nothing() -> None:
    def fail(*_: object, **__: object) -> Rewritten | PassedThrough:
        raise RecursionError("too deep")

    pair = Pair(7, ENCODED, "utf-8", False, (), b"<p>abc</p>", b"<p>xy</p>")
    assert learned(pair, DecodedGroups(), fail) == Reply(7)


def test_a_bug_is_an_answer() -> None:
    def fail(*_: object, **__: object) -> Rewritten | PassedThrough:
        raise RecursionError("too deep")

    apply: Apply = fail
    reply = answer(Request(1, ENCODED, None, None, PAGE), DecodedGroups(), apply)
    assert reply.passed == PassedThrough(reason=Reason.REWRITE_FAILED, detail="RecursionError: too deep")


def test_groups_that_can_not_be_decoded_are_an_answer_too() -> None:
    reply = answer(Request(1, b"\xc1", None, None, PAGE), DecodedGroups(), apply_groups)
    assert reply.passed is not None
    assert reply.passed.reason is Reason.REWRITE_FAILED


def test_groups_are_decoded_once_and_forgotten_when_there_are_too_many() -> None:
    groups = DecodedGroups(bytes_max=2 * len(ENCODED))
    assert groups[ENCODED] == GROUPS
    assert groups[ENCODED] is groups[ENCODED]
    first = groups[ENCODED]
    for number in range(5):
        other = msgspec.msgpack.encode((Group(f"m-{number}x", GROUPS[0].operations),))
        assert groups[other][0].mutation_id == f"m-{number}x"
    assert groups[ENCODED] == first
    assert groups[ENCODED] is not first
