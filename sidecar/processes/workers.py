"""One worker process: serves visitors on the socket it was given until the supervisor says stop, or is gone.

`python -m sidecar.processes.workers`, started by `slots`, never by a person. SIGHUP has it replaced by a fresh one.
Counterpart: `slots`, at the other end of the control channel. Every worker accepts from the same listening socket.
Never: a port of its own, a child but the page rewriter and its judge, or a life after the supervisor's.
"""

from service import imports

if __name__ == "__main__":
    imports.begin()

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import structlog
import uvloop

from service import logs
from service.settings import load
from sidecar.app import Application, running
from sidecar.processes.control import NEWS, REPLACE, SWITCH_OFF, SWITCH_ON, Answer, Channel, Question
from sidecar.rewriting.last_words import LastWords
from sidecar.rewriting.quarantine import Held
from sidecar.settings import SidecarSettings

DESCRIPTORS_MAX = 1_048_576
"""As many as a worker asks for: some systems allow a number that is no bound."""

_log = structlog.get_logger("sidecar.processes.workers")


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole life of a worker; returns the exit code."""
    parser = argparse.ArgumentParser(description="Serves visitors. `python -m sidecar` starts it.")
    for name in ("--number", "--listen-fd", "--control-fd", "--words-fd"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--switched-off", action="store_true")
    options = parser.parse_args(arguments)
    settings = load(SidecarSettings, os.environ)  # the supervisor has read `.env`, and looked at all of them
    logs.configure(level=settings.log_level, room="sidecar")
    structlog.contextvars.bind_contextvars(worker=options.number)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            work(
                settings,
                number=options.number,
                listen_fd=options.listen_fd,
                control_fd=options.control_fd,
                words_fd=options.words_fd,
                switched_off=options.switched_off,
            )
        )
    return 0


def allow_descriptors() -> None:
    """Open as many files as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has a bound of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def work(
    settings: SidecarSettings,
    *,
    number: int,
    listen_fd: int,
    control_fd: int,
    words_fd: int,
    switched_off: bool = False,
) -> None:
    """Run worker `number` on inherited sockets; returns when it has drained and closed everything."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # These may reach the whole process group; the supervisor decides what they mean.
    for ignored in (signal.SIGINT, SWITCH_OFF, SWITCH_ON):
        signal.signal(ignored, signal.SIG_IGN)
    allow_descriptors()
    channel = await Channel.over(socket.socket(fileno=control_fd))
    loop.add_signal_handler(signal.SIGHUP, partial(channel.send, Answer(NEWS, REPLACE)))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    listening = socket.socket(fileno=listen_fd)
    # What earlier workers and the other ones learned comes before all else: the first visitor may ask for that page.
    held = held_of(await channel.receive())
    announce = partial(_announce, channel)
    async with running(
        settings,
        listening,
        number,
        announce,
        switched_off=switched_off,
        held=held,
        last_words=LastWords(words_fd),
    ) as application:
        channel.send(Answer(0))
        answering = loop.create_task(_answer(channel, application, stop))
        await stop.wait()
    answering.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await answering
    channel.close()


async def _answer(channel: Channel, application: Application, stop: asyncio.Event) -> None:
    """Answer questions, also while draining; a channel that closes means that the supervisor is gone."""
    decode = msgspec.msgpack.Decoder(Question).decode
    while (body := await channel.receive()) is not None:
        question = decode(body)
        if question.ask == "stop":
            stop.set()
        elif (answer := _answered(application, question)).number:
            channel.send(answer)
    if not stop.is_set():
        _log.error("supervisor_gone", fix="this worker ends; start the sidecar again")
        stop.set()


def held_of(message: bytes | None) -> Held:
    """What the first question tells; nothing where the supervisor is gone, which is noticed when it is asked again."""
    if message is None:
        return Held()
    return msgspec.convert(msgspec.msgpack.decode(message, type=Question).arguments["held"], Held)


def _announce(channel: Channel, held: Held) -> None:
    """Let the supervisor and the other workers know what this one holds from now on."""
    channel.send(Answer(NEWS, held))


def _answered(application: Application, question: Question) -> Answer:
    """The answer, None for a question that is too much and for what is only told: a worker that no longer answers, whatever it was
    asked by one operator or told by another worker, is taken for one that hangs, with all its visitors."""
    try:
        return Answer(question.number, _said(application, question))
    except Exception:  # noqa: BLE001  as above
        _log.exception("question_failed", ask=question.ask)
        return Answer(question.number)


def _said(application: Application, question: Question) -> Any:
    inspection = application.inspection
    match question.ask:
        case "ping":
            return "pong"
        case "status":
            return inspection.status()
        case "metrics":
            return inspection.metrics()
        case "mutations":
            return inspection.mutations()
        case "pages":
            return inspection.pages()
        case "explain":
            return inspection.explain(question.arguments["url"], question.arguments["attributes"])
        case "hold":
            return inspection.hold(msgspec.convert(question.arguments["held"], Held))
        case "switch":
            return application.switch.told(question.arguments["off"])
        case _:
            raise ValueError(f"unknown question {question.ask!r}")


if __name__ == "__main__":
    imports.end()
    sys.exit(main())
