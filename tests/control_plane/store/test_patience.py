"""Who waits for a database that will never answer hears of it; who waits for a slow one gets the answer."""

import asyncio

import pytest

from control_plane.store import AwayError
from control_plane.store.mirror.patience import UNGREETED_MAX, patiently, watched


class Server:
    """Greets as often as it is told to."""

    def __init__(self, *greets: bool) -> None:
        self._greets = iter(greets)
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def probe(self) -> None:
        greets = next(self._greets, None)
        if greets is None:
            self.answer.set_result("at last")
        elif not greets:
            raise AwayError("no greeting")


async def test_work_ends_with_the_server_that_it_was_for() -> None:
    server = Server(*[False] * UNGREETED_MAX)
    with pytest.raises(AwayError, match="no greeting"):
        await watched(server.answer, server.probe, every_s=0)
    assert server.answer.cancelled()


async def test_work_takes_as_long_as_it_takes_while_the_server_greets_now_and_then() -> None:
    server = Server(*[False] * (UNGREETED_MAX - 1), True, *[False] * (UNGREETED_MAX - 1))
    assert await watched(server.answer, server.probe, every_s=0) == "at last"


async def test_an_answer_that_is_late_is_waited_for_where_the_server_greets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control_plane.store.mirror.patience.PATIENCE_S", 0)
    server = Server()
    assert await patiently(server.answer, server.probe) == "at last"
    server = Server(False)
    with pytest.raises(AwayError):
        await patiently(server.answer, server.probe)
    assert server.answer.cancelled()


async def test_what_went_wrong_is_what_is_heard() -> None:
    async def broken() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await watched(broken(), Server().probe)
    with pytest.raises(KeyError):
        await patiently(broken(), Server().probe)
