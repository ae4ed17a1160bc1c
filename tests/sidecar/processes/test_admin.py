"""The internal listener, with workers that are only said to be there."""

from typing import Any, cast

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from sidecar.processes.admin import NO_TABLE, SWITCHED_OFF, Admin, is_of_here
from sidecar.processes.supervisor import Supervisor
from sidecar.telemetry import Telemetry

NESTED = 'url=https://a/&context={"a":' + "[" * 1500


class Place:
    """A worker's place; `answers` None: nobody is there."""

    def __init__(self, number: int, answers: dict[str, Any] | None) -> None:
        self.number = number
        self.pid = 100 + number
        self.restarts = number
        self.replacements = {"memory": 0}
        self.memory_bytes = 1000 * number
        self.serves = answers is not None
        self.answers = answers or {}
        self.asked: list[dict[str, Any]] = []

    async def ask(self, ask: str, _within_s: float = 2.0, **arguments: Any) -> Any:
        self.asked.append(arguments)
        return msgspec.to_builtins(self.answers.get(ask))


class Places:
    def __init__(self, *slots: Place) -> None:
        self.slots = list(slots)
        self.leaving = False
        self.lost = {"ended": 0, "hung": 2}


def worker(number: int, version: int | None = None) -> Place:
    telemetry = Telemetry()
    telemetry.responded("applied", 200, 5)
    status = {"table": {"version": version}, "rewriter": {"ready": True}}
    explanation = {"applies": ["headline"]}
    answers = {
        "status": status,
        "metrics": telemetry.families(),
        "mutations": [{"id": "m"}],
        "pages": [{"page": "a/"}],
        "explain": explanation,
    }
    return Place(number, answers)


def asking(*slots: Place) -> TestClient[Any, Any]:
    return TestClient(TestServer(Admin(cast(Supervisor, Places(*slots))).application))


async def test_alive_is_not_ready() -> None:
    async with asking(Place(0, None)) as client:
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/readyz")).status == 503


async def test_one_worker_that_serves_is_ready_and_no_table_is_said() -> None:
    async with asking(Place(0, None), worker(1)) as client:
        answer = await client.get("/readyz")
        document = await answer.json()
    assert (answer.status, document["ready"], document["note"]) == (200, True, NO_TABLE)
    assert [(one["worker"], one["serves"]) for one in document["workers"]] == [(0, False), (1, True)]


async def test_what_switches_everything_off_is_said_and_it_stays_ready() -> None:
    off = worker(1, version=3)
    off.answers["status"]["switchedOff"] = ["signal"]
    async with asking(worker(0, version=3), off) as client:
        answer = await client.get("/readyz")
        document = await answer.json()
        shown = (await (await client.get("/table")).json())["workers"]
    assert (answer.status, document["switchedOff"], document["note"]) == (200, ["signal"], SWITCHED_OFF)
    assert [one.get("switchedOff") for one in shown] == [None, ["signal"]]


async def test_the_table_of_each_worker_and_the_mutations_in_force() -> None:
    async with asking(worker(0, version=3), worker(1, version=4)) as client:
        document = await (await client.get("/table")).json()
        assert "note" not in await (await client.get("/readyz")).json()
    assert [one["table"]["version"] for one in document["workers"]] == [3, 4]
    assert (document["mutations"], document["pages"]) == ([{"id": "m"}], [{"page": "a/"}])


async def test_metrics_of_all_workers_are_one_valid_exposition() -> None:
    async with asking(worker(0), worker(1), Place(2, None)) as client:
        text = await (await client.get("/metrics")).text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    responses = families["layout_mutation_responses"]
    assert responses.type == "counter"
    assert [(sample.labels["worker"], sample.value) for sample in responses.samples] == [("0", 1.0), ("1", 1.0)]
    up = {sample.labels["worker"]: sample.value for sample in families["layout_mutation_worker_up"].samples}
    assert up == {"0": 1.0, "1": 1.0, "2": 0.0}
    lost = families["layout_mutation_supervisor_restarts"].samples
    assert [(sample.labels, sample.value) for sample in lost] == [({"reason": "ended"}, 0.0), ({"reason": "hung"}, 2.0)]
    assert text.count("# TYPE layout_mutation_responses_total") == 1


async def test_explain() -> None:
    slot = worker(0)
    async with asking(slot) as client:
        answer = await client.get("/explain", params={"url": "https://a/", "context": '{"mobile": true}'})
        assert await answer.json() == {"applies": ["headline"]}
    assert slot.asked == [{"url": "https://a/", "attributes": {"mobile": True}}]


@pytest.mark.parametrize(
    "query",
    ["", "url=/a", "url=http://[", "url=http:///a", "url=https://a/&context=[]", "url=https://a/&context={", NESTED],
)
async def test_explain_says_what_it_needs(query: str) -> None:
    slot = worker(0)
    async with asking(slot) as client:
        answer = await client.get(f"/explain?{query}")
        assert (answer.status, "must be" in (await answer.json())["error"]) == (400, True)
    assert slot.asked == []


@pytest.mark.parametrize("path", ["/table", "/metrics", "/explain?url=https://a/", "/nothing"])
async def test_a_page_whose_name_leads_here_reads_nothing(path: str) -> None:
    """DNS rebinding: for a browser that page and this listener are one site."""
    async with asking(worker(0)) as client:
        answer = await client.get(path, headers={"Host": "evil.example:8090"})
        assert (answer.status, "headline" in await answer.text()) == (403, False)
        for probe in ("/healthz", "/readyz"):
            assert (await client.get(probe, headers={"Host": "shop.example"})).status == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8090", True),
        ("[::1]:8090", True),
        ("10.0.0.5", True),
        ("localhost:8090", True),
        ("LOCALHOST", True),
        ("sidecar:8090", True),
        ("sidecar.shop.svc:8090", True),
        ("", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8090", False),
        ("localhost.evil.example", False),
        ("evil.example.", False),
        ("[", False),
        ("127.0.0.1@evil.example", False),
    ],
)
def test_names_of_this_machine_and_network(host: str, expected: bool) -> None:
    assert is_of_here(host) is expected


async def test_explain_without_a_worker() -> None:
    async with asking(Place(0, None)) as client:
        assert (await client.get("/explain?url=https://a/")).status == 503
