"""What the settings say of backups, as what it means: places, keys, how often, how many.

Counterpart: `settings.py` has the variables; commands come with theirs. Never: a secret in an error.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from control_plane.backups.encryption import Keys, keys
from control_plane.backups.places import Bucket, Folder
from control_plane.backups.rotation import Keep, keep_of
from control_plane.settings import ControlPlaneSettings

FOLDER_NAME = "backups"
DEFAULT_EVERY = "1d"
DEFAULT_KEEP = "7 daily, 4 weekly, 12 monthly"
DEFAULT_KEEP_APART = "10"
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


class Configured(Struct, frozen=True):
    """Where backups go and how."""

    folder: Folder
    remote: Bucket | None
    keys: Keys
    every: timedelta | None
    """None: nobody makes one by itself, but before a migration."""
    keep: Keep


def kept_by(environ: Mapping[str, str], data_dir: Path) -> Configured:
    """Out of variables by their names, empty ones being absent; raises ValueError that names the variable and the fix."""

    def of(name: str) -> str:
        return environ.get(f"CONTROL_PLANE_BACKUP_{name}", "")

    return Configured(
        folder=Folder(Path(of("DIR")) if of("DIR") else data_dir / FOLDER_NAME),
        remote=Bucket(of("URL"), of("ENDPOINT")) if of("URL") else None,
        keys=keys(of("RECIPIENTS"), of("IDENTITY")),
        every=interval(of("EVERY") or DEFAULT_EVERY, "CONTROL_PLANE_BACKUP_EVERY"),
        keep=keep_of(of("KEEP") or DEFAULT_KEEP, of("KEEP_APART") or DEFAULT_KEEP_APART),
    )


def kept_of(settings: ControlPlaneSettings) -> Configured:
    """The same as a service's settings have it; raises ValueError likewise."""
    given = {
        f"CONTROL_PLANE_{name.upper()}": str(getattr(settings, name))
        for name in settings.__struct_fields__
        if name.startswith("backup_")
    }
    return kept_by(given, Path(settings.data_dir))


def interval(text: str, name: str) -> timedelta | None:
    """How often something is done, None for `off`; raises ValueError that names the variable."""
    if text == "off":
        return None
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or not 0 < int(number[:5]) < 10_000 or unit not in _SECONDS:
        raise ValueError(f"{name} must be a number with m, h or d, or off (got {text[:20]!r})")
    return timedelta(seconds=int(number) * _SECONDS[unit])
