"""The dashboard: what Grafana needs of it to be imported, made of metrics that exist, in PromQL that Prometheus reads."""

import json
import subprocess
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.test_alerts import known, metrics_of

FILE = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboard.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWING = [panel for panel in PANELS if panel["type"] != "row"]


def _queries() -> Iterator[tuple[str, str]]:
    for panel in SHOWING:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


QUERIES = list(_queries())


def test_it_can_be_imported_anywhere() -> None:
    assert "id" not in DASHBOARD  # Grafana gives it one
    assert {"title", "uid", "schemaVersion", "templating", "time"} <= set(DASHBOARD)
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    for thing in (*SHOWING, *(target for panel in SHOWING for target in panel["targets"])):
        assert thing["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_its_rows_follow_a_request() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == [
        "Traffic",
        "What became of pages",
        "Speed",
        "Table and fleet",
        "Origin",
        "Events and traces",
        "Guards",
    ]


def test_panels_have_names_of_their_own_and_stand_beside_each_other() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[title for title, _ in QUERIES])
def test_a_query_is_made_of_metrics_that_exist(title: str, query: str) -> None:
    asked = metrics_of(query)
    assert asked, title
    assert asked <= known()
    assert query.count('job="$job", instance=~"$instance"') == query.count("{"), (
        "it shows sidecars that were not asked for"
    )


def test_prometheus_reads_every_query(tmp_path: Path, missing: Callable[[str, str], str]) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$instance", ".+")}
        for number, (_, query) in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    ran = subprocess.run(
        [missing("promtool", "prometheus"), "check", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
