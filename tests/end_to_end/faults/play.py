"""One row of the fault matrix, played: visitors come, the fault is provoked, what they saw is judged and told.

Counterparts: `stage` has the parts, `conftest` makes a `Stage` for each file and a `Play` for each row.
Never: a fault of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis

from layout_mutation.embedded.ports import free_port
from service.keys import Keys
from sidecar.fail_open import Row
from tests.end_to_end.conftest import FAULT
from tests.end_to_end.faults import pages
from tests.end_to_end.faults.crowd import Figures
from tests.end_to_end.faults.stage import Crowd, Origin, Watch, variables
from tests.end_to_end.stack import Sidecar, Stack, until

KEYS = Keys("local")
UP_S_MAX = 90.0
PEOPLE = 200


class Stage:
    """The installation that most rows are played on, and its visitors."""

    def __init__(self, stack: Stack, crowd: Crowd, origin: Origin) -> None:
        self.stack, self.crowd, self.origin = stack, crowd, origin
        self.edition = 1

    @property
    def sidecar(self) -> Sidecar:
        return self.stack.sidecar

    def publish(self) -> None:
        """Another edition, by the control plane."""
        self.edition += 1
        self.stack.control_plane.ask("PUT", "mutations/edition", pages.rules(self.edition))

    def sealed(self, edition: int = 1, version: int = 7) -> bytes:
        """A table as the control plane signs it."""
        return self.stack.keys.sealed(pages.rules(edition), version=version)

    def settle(self) -> None:
        """Wait until all is well."""
        until(lambda: all(map(well, self.sidecar.workers())), UP_S_MAX, what="a sidecar that is well")


def well(worker: dict[str, Any]) -> bool:
    """Whether a worker serves, rewrites, follows Redis and tells it: where events still wait from an earlier row, they
    would not say so again, for an outage is told once."""
    if not (worker["serves"] and "table" in worker and worker["rewriter"]["ready"]):
        return False
    if worker["events"].get("redis") == "lost":
        return False
    return (worker["table"]["state"], worker["table"]["redis"]) == ("ACK", "connected")


def put(redis_url: str, sealed: bytes, version: int) -> None:
    """Put a table into Redis, whoever made it, and announce it."""
    with redis.Redis.from_url(redis_url) as client:
        client.mset({KEYS.table: sealed, KEYS.table_version: version})
        client.publish(KEYS.tables, version)


def told(row: str, seen: Figures, resets: int = 0) -> dict[str, str | int]:
    """A line of the table that is printed. `resets`: connections that ended with the worker that held them."""
    return {
        "row": row,
        "requests": seen.requests,
        "failures": seen.failed - resets,
        "resets": resets,
        "longest gap": f"{seen.gap_s:.2f} s",
        "longest wait": f"{seen.wait_s:.2f} s",
        **{kind: seen.outcomes.get(kind, 0) for kind in ("changed", "origin", "apology")},
    }


class Play:
    """One row. `loads`: how many pages each visitor looks at beside those that it takes to provoke the fault."""

    def __init__(
        self, stage: Stage, row: Row, folder: Path, *, loads: float, tell: Callable[[str, object], None]
    ) -> None:
        self.stage, self.row, self.folder = stage, row, folder
        self.figures = Figures()
        self._loads, self._tell = loads, tell

    @contextmanager
    def browsing(
        self,
        sidecar: Sidecar | None = None,
        *targets: str,
        crowd: Crowd | None = None,
        fresh: bool = False,
        killed_at: Callable[[], float] = lambda: 0.0,
        **options: Any,
    ) -> Iterator[None]:
        """The fault is provoked inside the block. `fresh`: what the sidecar has said before counts too. `killed_at`: when a
        worker was killed, whose connections may end."""
        sidecar, crowd = sidecar or self.stage.sidecar, crowd or self.stage.crowd
        watch = Watch(sidecar, self.row, fresh=fresh)
        crowd.begin(sidecar.port, *pages.targets(), *targets, people=PEOPLE, **options)
        try:
            yield
            watch.wait()
            crowd.wait_for(round(PEOPLE * self._loads))
        finally:
            seen = crowd.end()
        self._judge(seen, killed_at())

    def _judge(self, seen: Figures, killed_at: float) -> None:
        resets = [failure for failure in seen.failures if failure.ended and failure.opened_at < killed_at]
        wrong = [failure for failure in seen.failures if failure not in resets]
        self.figures = seen
        self._tell(FAULT, msgspec.json.encode(told(self.row.key, seen, len(resets))).decode())
        assert wrong == [], seen
        assert seen.failed == len(resets), seen

    def saw_only(self, *outcomes: str) -> None:
        """Every page was one of these."""
        assert set(self.figures.outcomes) <= set(outcomes), self.figures.outcomes
        assert self.figures.outcomes[outcomes[0]] > 0, self.figures.outcomes

    def sidecar(self, redis_url: str | None = None, workers: int = 2, **more: str) -> Sidecar:
        """One of the row's own; without `redis_url` its Redis is away."""
        url = redis_url or f"redis://127.0.0.1:{free_port()}/0"
        given = variables(url, **more)
        return Sidecar(self.folder, self.stage.stack.keys, self.stage.origin.url, workers=workers, **given)
