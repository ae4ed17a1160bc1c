"""Up to where the audit was found sound, as a file of this machine.

It lies outside the store on purpose: whoever changes the database can't set it back, so that it is an anchor too. A file that
is missing or unreadable costs a look at everything. Counterpart: `control_plane.audit` writes it after each sound look.
Never: a secret, nor an error for a disk that is full.
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from control_plane.auditing.report import Checkpoint

FILE_NAME = "audit-verified.json"
FILE_MODE = 0o600

log = structlog.get_logger("audit")


class Checkpoints:
    """The file in a data folder. Its methods block for the length of one small file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def read(self) -> Checkpoint | None:
        """The last one; None where there is none that can be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Checkpoint)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, checkpoint: Checkpoint) -> None:
        """Keep it, whole or not at all."""
        draft = self.path.with_name(f"{FILE_NAME}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.touch(FILE_MODE)
            draft.write_bytes(msgspec.json.encode(checkpoint))
            draft.replace(self.path)
        except OSError as error:
            log.warning("checkpoint_not_written", problem=error.strerror or str(error))
            with suppress(OSError):
                draft.unlink(missing_ok=True)
