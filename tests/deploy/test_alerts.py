"""The alert rules: valid for Prometheus, made of metrics that exist, each with its section in the runbook, and each fires for
what it is about and for nothing else."""

import json
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from layout_mutation.documentation.metrics import documented

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "prometheus" / "alerts.yml"
RUNBOOK, _, OF_CONTROL_PLANE = (
    (ROOT / "docs" / "runbook.md").read_text("utf-8").partition("\n# Alerts of the control plane\n")
)
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in YAML(typ="safe").load(FILE)["groups"] for rule in group["rules"]
}
OF_THE_PLATFORM = {
    "up",
    *(f"process_{name}" for name in ("cpu_seconds_total", "max_fds", "open_fds", "resident_memory_bytes")),
}
"""What Prometheus itself and its library say."""

METRIC = re.compile(r"\b(?:layout_mutation_\w+|process_\w+|up)\b(?=\s*[\[{<>=)/]|\s+(?:or|and)\b|$)")


@cache
def known() -> frozenset[str]:
    return frozenset(name for one in documented() for name in one.series) | OF_THE_PLATFORM


def metrics_of(expression: str) -> set[str]:
    """The names of metrics in a query, labels and their values apart."""
    bare = re.sub(r'"[^"]*"|\b(?:by|without|on)\s*\([^)]*\)', "", expression)
    return set(METRIC.findall(bare))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_made_of_metrics_that_exist(name: str) -> None:
    asked = metrics_of(RULES[name]["expr"])
    assert asked
    assert asked <= known(), f"{name} asks for what no sidecar says"


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_what_it_means_what_to_do_and_where_to_read_on(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert len(rule["annotations"]["description"]) > 100
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
    section = re.search(rf"(?m)^## {name}\n\n(.*?)(?=^## |\Z)", RUNBOOK + "\n", re.DOTALL)
    assert section, f"{name} has no section in docs/runbook.md"
    assert section[1].startswith(f"*{rule['labels']['severity'].capitalize()}.*")
    assert {"**Look.**", "**Do.**"} <= set(re.findall(r"\*\*\w+\.\*\*", section[1]))


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    assert re.findall(r"(?m)^## (.+)$", RUNBOOK) == ["First", *RULES]


def test_the_runbook_names_only_what_the_code_knows() -> None:
    """Events of the log, reasons, settings and metrics: each word in backticks that looks like one is in the sources."""
    folders = ("sidecar", "rules", "service")
    source = "\n".join(path.read_text("utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))
    words = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)(?:\{[^`]*)?`", RUNBOOK))
    words = {word for word in words if not word.startswith("process_")}
    assert len(words) > 25
    assert {word for word in words - known() if word.removeprefix("layout_mutation_") not in source} == set()
    settings = {name.lower() for name in re.findall(r"SIDECAR_(\w+)", RUNBOOK)}
    assert {name for name in settings if f"    {name}: Annotated" not in source} == set()


def test_what_the_control_plane_reports_is_what_it_knows() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "control_plane").rglob("*.py"))
    sections = re.findall(r"(?m)^## (.+)\n\n(.+)\n\n(.+)\n\n(.+)$", OF_CONTROL_PLANE)
    assert len(sections) == OF_CONTROL_PLANE.count("\n## ") >= 10
    for name, matter, look, do in sections:
        assert matter.startswith(("*Act now.* ", "*Look today.* ")), name
        assert (look[:9], do[:7]) == ("**Look.**", "**Do.**"), name
        words = {name, *re.findall(r"`([a-z]+(?:_[a-z]+)+)`", matter + look + do)}
        assert [word for word in words if f'"{word}"' not in source] == []


# ---- Prometheus itself

IN = 'instance="a",worker="0"'
HEALTHY = {
    'up{job="layout-mutation-sidecar",instance="a"}': "1x60",
    f"layout_mutation_worker_up{{{IN}}}": "1x60",
    f"layout_mutation_worker_restarts_total{{{IN}}}": "1x60",
    'layout_mutation_supervisor_restarts_total{reason="hung",instance="a"}': "1x60",
    f"process_open_fds{{{IN}}}": "50x60",
    f"process_max_fds{{{IN}}}": "1024x60",
    f'layout_mutation_responses_total{{reason="applied",status="200",{IN}}}': "0+6000x60",
    f'layout_mutation_responses_total{{reason="no_rules",status="200",{IN}}}': "0+6000x60",
    f'layout_mutation_responses_total{{reason="over_budget",status="200",{IN}}}': "0+1x60",
    f'layout_mutation_failures_total{{reason="rewrite_failed",{IN}}}': "3x60",
    f'layout_mutation_switched_off{{by="file",{IN}}}': "0x60",
    f'layout_mutation_opinions_total{{verdict="agrees",reason="",{IN}}}': "0+60x60",
    f'layout_mutation_decide_seconds_bucket{{le="0.0005",{IN}}}': "0+6000x60",
    f'layout_mutation_decide_seconds_bucket{{le="+Inf",{IN}}}': "0+6000x60",
    f'layout_mutation_rewrite_seconds_bucket{{le="0.01",{IN}}}': "0+6000x60",
    f'layout_mutation_rewrite_seconds_bucket{{le="0.25",{IN}}}': "0+6000x60",
    f'layout_mutation_rewrite_seconds_bucket{{le="+Inf",{IN}}}': "0+6000x60",
    f"layout_mutation_rewriter_restarts{{{IN}}}": "1x60",
    f"layout_mutation_rewriter_ready{{{IN}}}": "1x60",
    f"layout_mutation_table_version{{{IN}}}": "7x60",
    'layout_mutation_table_version{instance="b",worker="0"}': "7x60",
    f"layout_mutation_table_heard_seconds{{{IN}}}": "1x60",
    f'layout_mutation_table_state{{state="ACK",reason="",snapshot="written",{IN}}}': "1x60",
    f'layout_mutation_upstream_errors_total{{reason="disconnected",{IN}}}': "0+1x60",
    f'layout_mutation_upstream_first_byte_seconds_bucket{{le="0.5",origin="http://one",{IN}}}': "0+6000x60",
    f'layout_mutation_upstream_first_byte_seconds_bucket{{le="5.0",origin="http://one",{IN}}}': "0+6000x60",
    f'layout_mutation_upstream_first_byte_seconds_bucket{{le="+Inf",origin="http://one",{IN}}}': "0+6000x60",
    f'layout_mutation_events_dropped_total{{reason="full",{IN}}}': "2x60",
    f'layout_mutation_events_dropped_total{{reason="no_consent",{IN}}}': "0+600x60",
    f"layout_mutation_events_waiting{{{IN}}}": "100x60",
    f"layout_mutation_events_spooled{{{IN}}}": "0x60",
    f'layout_mutation_trace_spans_total{{outcome="sent",{IN}}}': "0+60x60",
    f'layout_mutation_trace_spans_total{{outcome="full",{IN}}}': "4x60",
    f'layout_mutation_accept_failures_total{{reason="EMFILE",{IN}}}': "2x60",
    f"layout_mutation_connections_held_back_total{{{IN}}}": "3x60",
    f'layout_mutation_worker_replacements_total{{reason="memory",{IN}}}': "5x60",
    f'layout_mutation_mutations_held{{reason="differs",{IN}}}': "0x60",
    f'layout_mutation_upstream_up{{origin="http://one",{IN}}}': "1x60",
    f'layout_mutation_upstream_up{{origin="http://two",{IN}}}': "1x60",
}
"""Series of an hour, a value a minute, of a sidecar that serves two hundred pages a second and has had its bad days."""

SICK: dict[str, dict[str, str]] = {
    "SidecarDown": {'up{job="layout-mutation-sidecar",instance="a"}': "0x60"},
    "WorkerDown": {f"layout_mutation_worker_up{{{IN}}}": "0x60"},
    "WorkerRestarts": {f"layout_mutation_worker_restarts_total{{{IN}}}": "1x40 1+1x20"},
    "SupervisorRestarts": {'layout_mutation_supervisor_restarts_total{reason="hung",instance="a"}': "1x40 2x20"},
    "FileDescriptorsLow": {f"process_open_fds{{{IN}}}": "1000x60"},
    "ConnectionsNotTaken": {f'layout_mutation_accept_failures_total{{reason="EMFILE",{IN}}}': "2x55 3x5"},
    "ConnectionsHeldBack": {f"layout_mutation_connections_held_back_total{{{IN}}}": "3x40 4+1x20"},
    "WorkersTooLarge": {f'layout_mutation_worker_replacements_total{{reason="memory",{IN}}}': "5x40 5+1x20"},
    "FailOpenSpike": {
        f'layout_mutation_responses_total{{reason="over_budget",status="200",{IN}}}': "0+600x60",
    },
    "PagesFailed": {f'layout_mutation_failures_total{{reason="rewrite_failed",{IN}}}': "3x55 4x5"},
    "EverythingSwitchedOff": {f'layout_mutation_switched_off{{by="file",{IN}}}': "1x60"},
    "MutationsHeld": {f'layout_mutation_mutations_held{{reason="hung",{IN}}}': "0x40 1x20"},
    "DecideSlow": {f'layout_mutation_decide_seconds_bucket{{le="0.0005",{IN}}}': "0+3000x60"}
    | {f'layout_mutation_decide_seconds_bucket{{le="0.05",{IN}}}': "0+6000x60"},
    "RewriteSlow": {f'layout_mutation_rewrite_seconds_bucket{{le="0.01",{IN}}}': "0+3000x60"},
    "RewriterRestarts": {f"layout_mutation_rewriter_restarts{{{IN}}}": "1x40 1+1x20"},
    "RewriterAway": {f"layout_mutation_rewriter_ready{{{IN}}}": "0x60"},
    "NoTable": {f"layout_mutation_table_version{{{IN}}}": "0x60"}
    | {'layout_mutation_table_version{instance="b",worker="0"}': "0x60"},
    "TableRefused": {
        f'layout_mutation_table_state{{state="NACK",reason="bad_signature",snapshot="loaded",{IN}}}': "1x60"
    },
    "TableStale": {f"layout_mutation_table_heard_seconds{{{IN}}}": "0+60x60"},
    "TableVersionsDiffer": {f"layout_mutation_table_version{{{IN}}}": "6x60"},
    "SnapshotNotWritten": {f'layout_mutation_table_state{{state="ACK",snapshot="write_failed",{IN}}}': "1x60"},
    "OriginFails": {f'layout_mutation_upstream_errors_total{{reason="connect_failed",{IN}}}': "0+600x60"},
    "NoOriginUp": {
        f'layout_mutation_upstream_up{{origin="http://one",{IN}}}': "0x60",
        f'layout_mutation_upstream_up{{origin="http://two",{IN}}}': "0x60",
    },
    "OriginDown": {f'layout_mutation_upstream_up{{origin="http://two",{IN}}}': "0x60"},
    "OriginSlow": {
        f'layout_mutation_upstream_first_byte_seconds_bucket{{le="0.5",origin="http://one",{IN}}}': "0+3000x60"
    },
    "EventsDropped": {f'layout_mutation_events_dropped_total{{reason="full",{IN}}}': "2x55 900x5"},
    "EventsWait": {f"layout_mutation_events_spooled{{{IN}}}": "0+10000x60"},
    "TracesDropped": {f'layout_mutation_trace_spans_total{{outcome="full",{IN}}}': "4x20 4+100x40"},
}
"""For each alert what is different, and enough for it alone."""


@pytest.mark.parametrize("name", [None, *RULES], ids=lambda name: name or "healthy")
def test_prometheus_fires_the_alert_for_its_cause_alone(
    name: str | None, tmp_path: Path, missing: Callable[[str, str], str]
) -> None:
    promtool = missing("promtool", "prometheus")
    series = HEALTHY | (SICK[name] if name else {})
    firing = [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name else []
    tests = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": one, "values": values} for one, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "59m",
                        "exp_samples": firing,
                    }
                ],
            }
        ],
    }
    file = tmp_path / "alerts_test.yml"
    file.write_text(json.dumps(tests))  # JSON is YAML
    ran = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_takes_the_file(missing: Callable[[str, str], str]) -> None:
    ran = subprocess.run(
        [missing("promtool", "prometheus"), "check", "rules", "--lint-fatal", str(FILE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
