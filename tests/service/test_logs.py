"""One JSON object a line, whoever logs."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from service.logs import configure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's own: leave it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_fields() -> None:
    stream = io.StringIO()
    configure(stream=stream, room="sidecar")
    structlog.get_logger("tables").info("table.loaded", version=3, note="two\nlines")
    (line,) = lines(stream)
    assert (line["event"], line["version"], line["note"]) == ("table.loaded", 3, "two\nlines")
    assert (line["level"], line["room"]) == ("info", "sidecar")
    assert line["timestamp"].endswith("Z")


def test_a_level_is_a_threshold() -> None:
    stream = io.StringIO()
    configure(stream=stream, level="WARNING", room="sidecar")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_an_unknown_level_is_info() -> None:
    stream = io.StringIO()
    configure(stream=stream, level="chatty", room="sidecar")
    structlog.get_logger().debug("quiet")
    structlog.get_logger().info("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_libraries_speak_the_same_language() -> None:
    stream = io.StringIO()
    configure(stream=stream, room="control-plane")
    logging.getLogger("asyncpg").warning("slow %s", "query")
    logging.getLogger("asyncpg").info("quiet")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["room"]) == ("slow query", "warning", "control-plane")


def test_an_exception_stays_on_its_line() -> None:
    stream = io.StringIO()
    configure(stream=stream, room="sidecar")
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines(stream)
    assert "ValueError: broken" in line["exception"]
