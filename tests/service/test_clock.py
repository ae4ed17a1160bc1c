"""The clock is in UTC."""

from datetime import UTC, datetime

from service.clock import now


def test_now_is_now_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= now() <= datetime.now(UTC)
    assert now().tzinfo is UTC
