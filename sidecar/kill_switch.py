"""Everything off, by a file or by a signal: what works with Redis, the control plane and the rules gone or wrong.

The file is looked at once a second, in a thread, since a disk may hang; a request reads one attribute. While either says
so every page passes as `switched_off`.
Counterparts: `proxy` asks before it looks at any rule, `processes.supervisor` hears the signals and tells each worker, `processes.admin` shows
the state.
Never: on by a failure; what can't be told of the file leaves things as they are.
"""

import asyncio
import os

import structlog

LOOK_EVERY_S = 1.0

_log = structlog.get_logger("sidecar.kill_switch")


class KillSwitch:
    """The switch of one worker. `file` empty: there is none to look at."""

    def __init__(self, file: str, *, every_s: float = LOOK_EVERY_S) -> None:
        self.off = False
        """Every page passes."""
        self.by_file = False
        self.by_signal = False
        self._file = file
        self._every_s = every_s
        self._readable = True
        self._watching: asyncio.Task[None] | None = None

    @property
    def causes(self) -> list[str]:
        """What switches off at the moment: `file`, `signal`, both or none."""
        return [name for name, says in (("file", self.by_file), ("signal", self.by_signal)) if says]

    def told(self, off: bool) -> None:
        """The supervisor got a signal, or a worker starts after one."""
        self.by_signal = off
        self._settle()

    async def start(self) -> None:
        """Look at the file for the first time, before anybody is served, and from then on again and again."""
        if self._file:
            await self._look()
            self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self._look()

    async def _look(self) -> None:
        try:
            self.by_file = await asyncio.to_thread(_is_there, self._file)
        except (OSError, ValueError, RuntimeError) as error:  # the last one: the system has no thread to spare
            if self._readable:
                _log.error("kill_switch_unreadable", file=self._file, error=str(error), stays=self.by_file)
            self._readable = False
            return
        self._readable = True
        self._settle()

    def _settle(self) -> None:
        was, self.off = self.off, self.by_file or self.by_signal
        if self.off and not was:
            _log.warning("switched_off", by=self.causes, file=self._file)
        elif was and not self.off:
            _log.warning("switched_on")


def _is_there(file: str) -> bool:
    """Whether there is such a file, whatever is in it; OSError where that can't be told."""
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
