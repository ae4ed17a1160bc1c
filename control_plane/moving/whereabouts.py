"""Which store the service ran on last, in a file of the data folder, so that a start on another one is noticed.

Counterpart: `places.py` says what a store's place is; `settling.py` compares. Never: a user's name, a password or a key.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from control_plane.moving.places import Place
from control_plane.store import Position

FILE_NAME = "store.json"


class Known(Struct, frozen=True, rename="camel"):
    """Where the service ran, and how far it had come there."""

    place: Place
    position: Position


class Whereabouts:
    """One file, replaced whole."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME

    def read(self) -> Known | None:
        """What is known; None where nothing is, also where the file is broken: then the start is the first one."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Known)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def installation(self) -> str:
        """Id of the installation that the service ran on last; empty where nothing tells."""
        known = self.read()
        whose = None if known is None else known.position.installation
        return "" if whose is None else whose.id

    def write(self, known: Known) -> None:
        """Replace the file; raises OSError. A crash leaves the old one or the new one."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._file.with_name(f"{FILE_NAME}.{os.getpid()}")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(known))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)
