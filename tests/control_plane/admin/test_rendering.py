"""Templates escape everything, know every name they use, and write times and queries for people."""

from datetime import UTC, datetime, timedelta, timezone

import jinja2
import pytest

from control_plane.admin.rendering import FOLDER, moment, query, templates
from control_plane.admin.static_files import StaticFiles


@pytest.fixture
def environment() -> jinja2.Environment:
    return templates(StaticFiles({}), public_url="http://127.0.0.1")


def test_every_template_compiles_and_none_prints_unescaped(environment: jinja2.Environment) -> None:
    for path in FOLDER.glob("*.html"):
        environment.get_template(path.name)
        source = path.read_text(encoding="utf-8")
        for way_out in ("|safe", "| safe", "autoescape", "Markup"):
            assert way_out not in source, path.name


def test_markup_is_text_and_a_missing_name_is_an_error(environment: jinja2.Environment) -> None:
    assert environment.from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"
    with pytest.raises(jinja2.UndefinedError):
        environment.from_string("{{ nobody }}").render()


def test_a_time_is_written_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    assert moment(datetime(2026, 11, 3, 0, 5, tzinfo=berlin)) == "2 Nov 2026, 23:05 UTC"
    assert moment(datetime(2026, 11, 23, 10, 58, tzinfo=UTC)) == "23 Nov 2026, 10:58 UTC"
    assert moment(None) == ""


def test_a_query_has_what_is_there() -> None:
    assert query({"text": "a&b", "state": "", "cursor": None}) == "?text=a%26b"
    assert query({"text": ""}) == ""
