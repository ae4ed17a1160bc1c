"""The migrations as they lie in a folder: `NNNN_name.sql`, each with a header that says what, why and how to undo it.

Counterpart: `runner.py` applies them, `documentation.py` prints their headers. Never: a connection.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

FOLDER = Path(__file__).parent / "migrations"
HEADINGS = ("What", "Why", "Undo")

_FILE_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_HEADER_LINE = re.compile(r"^-- (?:(What|Why|Undo|Locks): )?(.*)$")


class Migration(Struct, frozen=True):
    """One file. `checksum` is the SHA-256 of its bytes, hexadecimal."""

    number: int
    name: str
    checksum: str
    sql: str

    @property
    def header(self) -> dict[str, str]:
        """`What`, `Why`, `Undo`, and `Locks` where there is one, out of the comment at the top; raises ValueError if one is missing."""
        found: dict[str, str] = {}
        heading = ""
        for line in self.sql.splitlines():
            match = _HEADER_LINE.match(line)
            if match is None:
                break
            heading = match[1] or heading
            found[heading] = f"{found.get(heading, '')} {match[2]}".strip()
        if missing := [heading for heading in HEADINGS if not found.get(heading)]:
            raise ValueError(f"{self.number:04}_{self.name}.sql: the header lacks {', '.join(missing)}")
        return found


def read(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """The migrations of a folder in their order; raises ValueError for a wrong name or a gap in the numbers."""
    found: list[Migration] = []
    for file in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.match(file.name)
        if match is None:
            raise ValueError(f"{file.name}: a migration is called NNNN_name.sql")
        data = file.read_bytes()
        found.append(Migration(int(match[1]), match[2], hashlib.sha256(data).hexdigest(), data.decode("utf-8")))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations in {folder} must be numbered 0001, 0002, … without gaps")
    return tuple(found)


def digest(migrations: Iterable[Migration]) -> str:
    """What tells one list of migrations from another: SHA-256 of their checksums, hexadecimal."""
    return digest_of(one.checksum for one in migrations)


def digest_of(checksums: Iterable[str]) -> str:
    """As `digest`, of checksums as a database has them."""
    return hashlib.sha256("".join(checksums).encode()).hexdigest()
