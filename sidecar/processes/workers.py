"""One worker process: serves visitors on the socket it was given until the supervisor says stop, or is gone.

Counterpart: `supervisor`, at the other end of the control channel. Every worker accepts from the same listening socket.
Never: a port of its own, a child but the page rewriter and its judge, or a life after the supervisor's.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
import structlog

from sidecar.app import Application, running
from sidecar.processes.control import NEWS, SWITCH_OFF, SWITCH_ON, Answer, Channel, Question
from sidecar.settings import SidecarSettings

_log = structlog.get_logger("sidecar.processes.workers")


async def work(
    settings: SidecarSettings, *, number: int, listen_fd: int, control_fd: int, switched_off: bool = False
) -> None:
    """Run worker `number` on inherited sockets; returns when it has drained and closed everything."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # These may reach the whole process group; the supervisor decides what they mean.
    for ignored in (signal.SIGINT, SWITCH_OFF, SWITCH_ON):
        signal.signal(ignored, signal.SIG_IGN)
    channel = await Channel.over(socket.socket(fileno=control_fd))
    listening = socket.socket(fileno=listen_fd)
    announce = partial(_announce, channel)
    async with running(settings, listening, number, announce, switched_off=switched_off) as application:
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
        elif question.ask == "hold":
            application.inspection.hold(question.arguments["versions"])
        elif question.ask == "switch":
            application.switch.told(question.arguments["off"])
        else:
            channel.send(Answer(question.number, _said(application, question)))
    if not stop.is_set():
        _log.error("supervisor_gone", fix="this worker ends; start the sidecar again")
        stop.set()


def _announce(channel: Channel, versions: Mapping[str, int]) -> None:
    """Let the other workers know what this one holds from now on."""
    channel.send(Answer(NEWS, dict(versions)))


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
        case "explain":
            return inspection.explain(question.arguments["url"], question.arguments["attributes"])
        case _:
            raise ValueError(f"unknown question {question.ask!r}")
