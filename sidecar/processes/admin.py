"""The internal listener: health, readiness, metrics, the table in force, and why an address gets what it gets.

It lives in the supervisor, so that it answers even while a worker does not. Counterpart: `inspection`, in each worker.
Never: reachable for visitors; it listens on loopback unless told otherwise, and there a page in a browser on the same machine, whose
own name leads here (DNS rebinding), reads none of it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.processes.slots import Slot
from sidecar.processes.supervisor import Supervisor
from sidecar.telemetry import Family

NO_TABLE = "no decision table yet: pages pass unchanged, which is how it should be until one is published"

SWITCHED_OFF = "everything is switched off: pages pass unchanged until the file is gone and SIGUSR2 has come"

PROBES = frozenset({"/healthz", "/readyz"})
"""What is told under any name: proxies on the same machine ask with the one that they were asked by."""
_NAMES_OF_HERE = (".localhost", ".internal", ".local", ".svc")
"""Ends of names that no public DNS leads anywhere."""


class Admin:
    """The pages of the internal listener."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.application = web.Application(middlewares=[_by_a_name_of_here])
        self.application.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/table", self._table),
                web.get("/explain", self._explain),
            ]
        )

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _json({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        workers = await self._statuses()
        ready = not self._supervisor.leaving and any(worker["serves"] for worker in workers)
        tables = [worker["table"] for worker in workers if worker.get("table")]
        document: dict[str, Any] = {"ready": ready, "workers": workers}
        if ready and not any(table.get("version") is not None for table in tables):
            document["note"] = NO_TABLE
        if causes := sorted({cause for worker in workers for cause in worker.get("switchedOff", ())}):
            document["switchedOff"] = causes
            document["note"] = SWITCHED_OFF
        return _json(document, status=200 if ready else 503)

    async def _table(self, _request: web.Request) -> web.Response:
        # At once: a worker that is hung answers none of them, and who looks here then is in a hurry.
        workers, mutations, pages = await asyncio.gather(self._statuses(), self._any("mutations"), self._any("pages"))
        return _json({"workers": workers, "mutations": mutations or [], "pages": pages or []})

    async def _explain(self, request: web.Request) -> web.Response:
        url = request.query.get("url", "")
        if not _is_address(url):
            return _json(
                {"error": "url must be an absolute address, for example ?url=https://shop.example/"}, status=400
            )
        try:
            attributes = msgspec.json.decode(request.query.get("context", "{}"), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            return _json({"error": f"context must be a JSON object of attributes: {error}"}, status=400)
        explanation = await self._any("explain", url=url, attributes=attributes)
        if explanation is None:
            return _json({"error": "no worker answers at the moment"}, status=503)
        return _json(explanation)

    async def _metrics(self, _request: web.Request) -> web.Response:
        answers = await asyncio.gather(*(slot.ask("metrics") for slot in self._supervisor.slots))
        by_worker = {
            str(slot.number): msgspec.convert(answer, list[Family])
            for slot, answer in zip(self._supervisor.slots, answers, strict=True)
            if answer is not None
        }
        return web.Response(
            body=exposition(by_worker, self._supervisor.slots, self._supervisor.lost),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    async def _statuses(self) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(self._status(slot) for slot in self._supervisor.slots)))

    async def _status(self, slot: Slot) -> dict[str, Any]:
        status = await slot.ask("status") or {}
        facts = {
            "worker": slot.number,
            "pid": slot.pid,
            "serves": slot.serves and bool(status),
            "restarts": slot.restarts,
        }
        return {**facts, **status}

    async def _any(self, ask: str, **arguments: Any) -> Any:
        """The first answer that any worker gives."""
        for slot in self._supervisor.slots:
            answer = await slot.ask(ask, **arguments)
            if answer is not None:
                return answer
        return None


def exposition(by_worker: dict[str, list[Family]], slots: Iterable[Slot], lost: Mapping[str, int]) -> bytes:
    """One Prometheus exposition of all workers' metrics, told apart by the label `worker`; `lost` are supervisors, by why."""
    merged: dict[str, Metric] = {}
    for worker, families in sorted(by_worker.items()):
        for family in families:
            metric = merged.get(family.name)
            if metric is None:
                metric = merged[family.name] = Metric(family.name, family.documentation, family.kind, family.unit)
            for sample in family.samples:
                metric.add_sample(sample.name, {**sample.labels, "worker": worker}, sample.value)
    serving = GaugeMetricFamily("layout_mutation_worker_up", "Whether this worker serves", labels=["worker"])
    restarts = CounterMetricFamily(
        "layout_mutation_worker_restarts", "Times this worker ended and was started again", labels=["worker"]
    )
    replacements = CounterMetricFamily(
        "layout_mutation_worker_replacements",
        "Times this worker was replaced on purpose: it held too much memory, far too much, or somebody asked for it",
        labels=["worker", "reason"],
    )
    memory = GaugeMetricFamily(
        "layout_mutation_worker_memory_bytes", "Memory that this worker and its children hold", labels=["worker"]
    )
    for slot in slots:
        serving.add_metric([str(slot.number)], float(slot.serves))
        restarts.add_metric([str(slot.number)], float(slot.restarts))
        memory.add_metric([str(slot.number)], float(slot.memory_bytes))
        for reason, count in slot.replacements.items():
            replacements.add_metric([str(slot.number), reason], float(count))
    supervisors = CounterMetricFamily(
        "layout_mutation_supervisor_restarts",
        "Times that the supervisor was replaced without anybody asking: it had ended, or stood still",
        labels=["reason"],
    )
    for reason, count in lost.items():
        supervisors.add_metric([reason], float(count))
    registry = CollectorRegistry()
    registry.register(_Given([*merged.values(), serving, restarts, replacements, memory, supervisors]))
    return generate_latest(registry)


class _Given(Collector):
    """Metrics that have been collected elsewhere."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


@web.middleware
async def _by_a_name_of_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer on loopback only who asks by an address, or by a name that is of this machine or network."""
    sockname = request.get_extra_info("sockname")
    on_loopback = isinstance(sockname, tuple) and ip_address(sockname[0]).is_loopback
    if on_loopback and request.path not in PROBES and not is_of_here(request.headers.get("Host", "")):
        return _json({"error": "ask by address, for example http://127.0.0.1:8090, or as localhost"}, status=403)
    return await handler(request)


def is_of_here(host: str) -> bool:
    """Whether a Host field is an address, or a name that nobody outside can have lead here."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if "." not in name or name.endswith(_NAMES_OF_HERE):
        return True
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


def _is_address(url: str) -> bool:
    """Whether it is an absolute address of the web that can be taken apart."""
    try:
        return url.startswith(("http://", "https://")) and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _json(document: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
