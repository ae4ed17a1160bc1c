"""Everything off: by a file, by the supervisor's word, and what a visitor gets then."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.kill_switch import LOOK_EVERY_S, KillSwitch
from tests.sidecar.one_headline import NEW, PAGE, counted, variant, weighing
from tests.sidecar.waiting import until
from tests.sidecar.wire import answering, client, headline, html, origin, response, serving, table


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of the log, by event."""
    return [word for word in capsys.readouterr().out.split() if word.startswith("switched_")]


@asynccontextmanager
async def watching(file: Path | str, every_s: float = 0.01) -> AsyncIterator[KillSwitch]:
    switch = KillSwitch(str(file), every_s=every_s)
    await switch.start()
    try:
        yield switch
    finally:
        await switch.close()


async def test_it_is_off_while_the_file_exists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "off"
    async with watching(file) as switch:
        for _ in range(2):
            assert (switch.off, switch.causes) == (False, [])
            file.touch()
            await until(lambda: switch.off)
            assert switch.causes == ["file"]
            file.unlink()
            await until(lambda: not switch.off)
    assert said(capsys) == ["switched_off", "switched_on"] * 2


async def test_without_a_file_nobody_looks() -> None:
    async with watching("") as switch:
        assert switch._watching is None


async def test_a_file_that_is_there_counts_from_the_first_request(tmp_path: Path) -> None:
    (tmp_path / "off").symlink_to("nowhere")
    async with watching(tmp_path / "off") as switch:
        assert switch.off


async def test_off_by_one_of_two_is_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "off"
    file.touch()
    async with watching(file) as switch:
        switch.told(True)
        assert switch.causes == ["file", "signal"]
        file.unlink()
        await until(lambda: switch.causes == ["signal"])
        assert switch.off
        switch.told(False)
        assert switch.causes == []
    assert said(capsys) == ["switched_off", "switched_on"]


@pytest.mark.parametrize("file", ["/" + "x" * 5000, "/off\0"], ids=["too long", "no name"])
async def test_what_can_not_be_told_changes_nothing_and_is_one_error(
    capsys: pytest.CaptureFixture[str], file: str
) -> None:
    async with watching(file) as switch:
        await until(lambda: switch._readable is False)
        await switch._look()
        assert not switch.off
        switch.told(True)
        await switch._look()
        assert switch.causes == ["signal"]
    assert capsys.readouterr().out.count("kill_switch_unreadable") == 1


async def test_each_time_that_it_can_no_longer_be_told_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder whose name leads round in a circle, twice."""
    switch = KillSwitch(str(tmp_path / "folder" / "off"))
    for _ in range(2):
        (tmp_path / "folder").symlink_to("folder")
        await switch._look()
        (tmp_path / "folder").unlink()
        await switch._look()
    assert capsys.readouterr().out.count("kill_switch_unreadable") == 2


async def test_a_file_in_a_folder_that_is_not_there_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    for file in (tmp_path / "no" / "off", tmp_path / "plain" / "off"):
        async with watching(file) as switch:
            assert (switch.off, switch._readable) == (False, True)


class Pool(ThreadPoolExecutor):
    """Threads, and how often one was asked for."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked = 0

    def submit(self, *work: Any, **more: Any) -> Any:
        self.asked += 1
        return super().submit(*work, **more)


async def test_a_system_without_a_thread_to_spare_ends_no_watch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop, none_left = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    none_left.shutdown()  # which refuses as the system does: RuntimeError
    async with watching(tmp_path / "off") as switch:
        loop.set_default_executor(none_left)
        await until(lambda: switch._readable is False)
        loop.set_default_executor(Pool())
        (tmp_path / "off").touch()
        await until(lambda: switch.off)
    assert capsys.readouterr().out.count("kill_switch_unreadable") == 1


async def test_the_file_is_looked_at_once_a_second_and_no_more_after_the_end(tmp_path: Path) -> None:
    assert LOOK_EVERY_S == 1.0, "so the documents say"
    pool = Pool()
    asyncio.get_running_loop().set_default_executor(pool)
    async with watching(tmp_path / "off", every_s=3600) as switch:
        for _ in range(20):
            await asyncio.sleep(0)
        assert pool.asked == 1
    assert switch._watching is not None
    assert switch._watching.done()


VARIANT = variant()
EXPERIMENT = weighing(0.5, 0.5)


async def test_a_page_passes_as_it_came_and_comes_back_when_it_is_on() -> None:
    rules = table(headline(), VARIANT, experiments=[EXPERIMENT])
    page = html(PAGE, 'ETag: "a"', "Cache-Control: public, max-age=60")
    async with (
        origin(answering(page)) as site,
        serving(site.url, tables=rules) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get("/")).body == NEW
        sidecar.application.switch.told(True)
        for method in ("GET", "HEAD"):
            answer = await visitor.get("/", 'If-None-Match: "a"', method=method)
            head, _, _ = page.partition(b"\r\n\r\n")
            assert answer.raw == head + b"\r\nX-Layout-Mutation: passed; reason=switched_off\r\n\r\n"
            assert b'If-None-Match: "a"\r\n' in site.heads[-1]
        answer = await visitor.get("/", "HX-Request: true")
        assert answer.get(b"Cache-Control") == b"public, max-age=60"
        sidecar.application.switch.told(False)
        assert (await visitor.get("/", "HX-Request: true")).get(b"Cache-Control") == b"private, max-age=60"
        assert (await visitor.get("/")).body == NEW


async def test_our_own_validator_does_not_bring_a_changed_page_back() -> None:
    async with (
        origin(answering(html(PAGE, 'ETag: "a"'), response(b"", 'ETag: "a"', status="304 Not Modified"))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        etag = ((await visitor.get("/")).get(b"ETag") or b"").decode()
        sidecar.application.switch.told(True)
        await visitor.get("/", f"If-None-Match: {etag}")
        assert b"If-None-Match" not in site.heads[-1]


async def test_it_needs_no_table() -> None:
    async with origin(answering(html(PAGE))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        sidecar.application.switch.told(True)
        answer = await visitor.get("/")
        shown = counted(sidecar, "switched_off")
    assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=switched_off")
    assert shown == {"file": 0.0, "signal": 1.0}
