"""The last published table in a file, for the day when both the database and Redis have lost it.

Counterpart: `publishing.py` writes it after each publish and reads it when the database can't be asked.
Never: trusted; whoever reads it checks the signature.
"""

import os
from pathlib import Path

FILE_NAME = "table"


class TableCopy:
    """One file, replaced whole."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME

    def read(self) -> bytes:
        """The sealed table; empty if there is none."""
        try:
            return self._file.read_bytes()
        except FileNotFoundError:
            return b""

    def write(self, sealed: bytes) -> None:
        """Replace the file; raises OSError. A crash leaves the old one or the new one."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._file.with_name(f"{FILE_NAME}.{os.getpid()}")
        with draft.open("wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)
