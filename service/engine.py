"""Which engine this is: a name for the very code that checks rules, and for the libraries that it asks.

Counterpart: the control plane writes the name into the tables that it signs, and a sidecar of the same name need not run
all checks again before the first visit (`rules.sealing.unseal`). It is computed, so nobody has to remember to raise it.
Never: a name for what can't be read whole; then tables are compiled whole too, which is slower and as good.
"""

import sys
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import rules
from rules.table import UNCHECKED

LIBRARIES = ("google-re2", "msgspec", "turbohtml", "tzdata")
"""What `rules` asks when it checks a rule."""


@cache
def engine() -> str:
    """The name of this program's engine: 32 hexadecimal digits, or UNCHECKED."""
    return engine_in(Path(rules.__file__).parent)


def engine_in(folder: Path) -> str:
    """The name of the engine whose sources are in `folder`, with the libraries and the Python of this process."""
    digest = sha256(repr(sys.version_info[:3]).encode())
    try:
        for library in LIBRARIES:
            digest.update(f"{library}={version(library)}\0".encode())
        sources = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py"))
        for name, path in sources:
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    except (OSError, PackageNotFoundError):
        return UNCHECKED
    return digest.hexdigest()[:32] if sources else UNCHECKED
