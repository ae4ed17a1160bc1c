"""A worker's answers on the control channel; its life as a process is in tests/end_to_end/test_proxy_processes.py."""

import pytest

from sidecar.control import Question
from sidecar.workers import _said
from tests.sidecar.wire import headline, serving, table


async def test_what_a_worker_can_be_asked() -> None:
    async with serving("http://127.0.0.1:1", tables=table(headline())) as sidecar:
        said = {ask: _said(sidecar.application, Question(1, ask)) for ask in ("ping", "status", "metrics", "mutations")}
        explained = _said(sidecar.application, Question(1, "explain", {"url": "https://a/", "attributes": {}}))
        with pytest.raises(ValueError, match="unknown question"):
            _said(sidecar.application, Question(1, "other"))
    assert said["ping"] == "pong"
    assert said["status"]["table"]["version"] == 7
    assert {family.name for family in said["metrics"]} >= {"layout_mutation_responses", "layout_mutation_table_version"}
    assert [mutation["id"] for mutation in said["mutations"]] == explained["applies"] == ["headline"]
