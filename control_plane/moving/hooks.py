"""Commands of the operator that run before and after a move, with what is planned or done as JSON on standard input.

Counterpart: the settings `CONTROL_PLANE_MOVE_BEFORE` and `CONTROL_PLANE_MOVE_AFTER`. Never: a shell, or a secret on their input;
what they print goes to the service's own standard error.
"""

import asyncio
import shlex
import sys
from contextlib import suppress

HOOK_S_MAX = 600.0  # a hook may make a backup; one that hangs must not keep the service down for ever


class HookError(Exception):
    """A hook said no, or could not run. The message says how it ended."""


async def run(command: str, told: bytes, *, seconds_max: float = HOOK_S_MAX) -> None:
    """Run a command with `told` on its standard input, if there is one; HookError unless it ends with exit code 0."""
    words = shlex.split(command)
    if not words:
        return
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
        )
    except OSError as error:
        raise HookError(f"the hook {words[0]!r} can't be started: {error.strerror or error}") from None
    try:
        async with asyncio.timeout(seconds_max):
            await process.communicate(told)
    except TimeoutError:
        raise HookError(f"the hook {words[0]!r} took longer than {seconds_max:g} seconds") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise HookError(f"the hook {words[0]!r} ended with exit code {process.returncode}")
