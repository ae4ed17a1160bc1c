"""`doctor --adopt`: take what the database has, in place of what the mirror of this instance has.

Counterpart: `control_plane.store.mirror.recovery` refuses a database of another installation and names this command; at its
next start the service finds no mirror and takes the database's identity. Never: a file that is deleted.
"""

from datetime import datetime
from pathlib import Path

from control_plane.store.mirror.keeping import FILE_NAME, SUFFIXES
from control_plane.store.mirror.spare import SUFFIX


def adopt(folder: Path, now: datetime) -> Path | None:
    """Put the mirror in the service's data folder aside; where it is now, None where there is none. Raises OSError."""
    mirror = folder / FILE_NAME
    if not mirror.exists():
        return None
    aside = mirror.with_name(f"{FILE_NAME}.aside-{now:%Y%m%dT%H%M%S}")
    for suffix in reversed((*SUFFIXES, SUFFIX)):  # the file itself last: without it nobody would look for the others
        source = mirror.with_name(mirror.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    return aside
