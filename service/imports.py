"""How a process of ours imports what it is made of: without a look for garbage, and without what nobody asked for.

redis loads OpenTelemetry and structlog loads rich wherever they are installed, and no server has a use for that: it is a sixth of
the time in which a worker starts, and 6 MB of its memory. Counterparts: each `__main__` that starts a server, and
`sidecar.processes.workers` and `sidecar.processes.supervision`. Never: on in a process that works already; traces load theirs afterwards.
"""

import gc
import sys
from collections.abc import MutableMapping
from types import ModuleType

UNASKED = ("opentelemetry", "rich")


def begin(modules: MutableMapping[str, ModuleType | None] = sys.modules) -> None:  # type: ignore[assignment]
    """From now on nothing is garbage, and what is unasked for is not to be found (None: Python's reference, "The module cache")."""
    gc.disable()  # what is imported is no garbage, and looking for some takes a fifth of the time of importing it
    for name in UNASKED:
        modules.setdefault(name, None)


def end(modules: MutableMapping[str, ModuleType | None] = sys.modules) -> None:  # type: ignore[assignment]
    """All is imported: it stays, and whoever asks for the rest gets it."""
    for name in UNASKED:
        if modules.get(name, modules) is None:
            del modules[name]
    gc.freeze()
    gc.enable()
