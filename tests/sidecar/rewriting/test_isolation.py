"""What a child's answer may be. Queue, clocks and replacement are tested with real children in `test_rewriting.py`."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.html import Edit, PassedThrough, Rewritten
from rules.reasons import Outcome, Reason
from sidecar.rewriting.isolation import understood
from sidecar.rewriting.rewriter import Changes, Reply

BODY = b"0123456789"


def changed(*edits: tuple[int, int, bytes]) -> bytes:
    changes = Changes(tuple(Edit(*edit) for edit in edits), (Outcome("m", Reason.APPLIED),), ("hash",), "utf-8")
    return msgspec.msgpack.encode(Reply(1, changes, None))


def test_edits_are_spliced_into_the_worker_s_own_bytes() -> None:
    answer = understood(changed((0, 0, b"<"), (2, 4, b""), (4, 4, b"-"), (10, 10, b">")), 1, BODY)
    assert isinstance(answer, Rewritten)
    assert answer.page == b"<01-456789>"
    assert (answer.outcomes, answer.style_hashes) == ((Outcome("m", Reason.APPLIED),), ("hash",))


def test_a_reason_is_taken_as_it_is() -> None:
    passed = PassedThrough(reason=Reason.NOTHING_MATCHED, detail="very")
    assert understood(msgspec.msgpack.encode(Reply(1, None, passed)), 1, BODY) == passed


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode([1, None]),
        msgspec.msgpack.encode([1, None, None]),
        msgspec.msgpack.encode([2, None, {"reason": "nothing_matched"}]),
        msgspec.msgpack.encode([1, None, {"reason": "made up"}]),
        changed((0, 11, b"")),
        changed((-1, 1, b"")),
        changed((5, 4, b"")),
        changed((0, 5, b""), (4, 6, b"")),
    ],
)
def test_nonsense_is_a_value_error(message: bytes) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        understood(message, 1, BODY)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_value_error(message: bytes) -> None:
    with suppress(ValueError, msgspec.MsgspecError):
        understood(message, 1, BODY)
