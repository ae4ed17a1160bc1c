"""Stores as commands are given them, and how commands end that work on them.

A store is an address, the path of an SQLite file, or the name of a variable that holds either. Counterpart: `control_plane.moving.places` opens them.
Never: an address with its password in a message.
"""

import asyncio
import secrets
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from control_plane.backups.configured import Configured, kept_by
from control_plane.backups.encryption import Keys, keys
from control_plane.backups.lines import BackupError, PlaceError
from control_plane.moving.moves import Compared, Hooks, Moved, MoveError, Plan
from control_plane.moving.places import place_of
from control_plane.schema.runner import SchemaError
from control_plane.settings import DATA_DIR, LOCAL_FILE, LOCAL_PREFIX, StoreName, check_audit_keys, check_signing_key
from control_plane.store import Chain, StoreError
from control_plane.store.chain import KEY_BYTES, configured
from layout_mutation.environment import require
from layout_mutation.inputs import UnusableError
from layout_mutation.installation import installation

FROM_ENVIRONMENT = "env:"


def named_store(option: str, text: str, environ: dict[str, str]) -> str:
    """The address that an option names, checked; UnusableError, naming the option, where it names none."""
    if text.startswith(FROM_ENVIRONMENT):
        name = text.removeprefix(FROM_ENVIRONMENT)
        text = environ.get(name, "")
        if not text:
            raise UnusableError(f"{option}: the variable {name} is not set")
    try:
        place_of(text)
    except ValueError as error:
        raise UnusableError(f"{option}: {str(error).replace('DATABASE_URL', 'the address')}") from None
    return text


def chain_of(environ: dict[str, str]) -> Chain:
    """The keys that the audit is sealed with, where the environment has them: what is carried keeps its seals anyway."""
    try:
        check_audit_keys(environ.get("CONTROL_PLANE_AUDIT_KEYS", ""))
        check_signing_key(environ["CONTROL_PLANE_SIGNING_KEY"])
    except (KeyError, ValueError):
        return Chain([secrets.token_bytes(KEY_BYTES)])
    return configured(environ.get("CONTROL_PLANE_AUDIT_KEYS", ""), environ["CONTROL_PLANE_SIGNING_KEY"])


def default_store(option: str, text: str | None, environ: dict[str, str], data_dir: Path | None = None) -> str:
    """The address that an option names, or the environment where it is left out; UnusableError where neither does."""
    if text is not None:
        return named_store(option, text, environ)
    file = local_file(environ, data_dir)
    if file is not None:
        return named_store("CONTROL_PLANE_DATA_DIR", f"{LOCAL_PREFIX}{file}", environ)
    return named_store("DATABASE_URL", require(environ, "DATABASE_URL"), environ)


def file_keys(environ: dict[str, str]) -> Keys:
    """Whom files are encrypted to, and what reads them; UnusableError for what are no keys."""
    try:
        return keys(
            environ.get("CONTROL_PLANE_BACKUP_RECIPIENTS", ""), environ.get("CONTROL_PLANE_BACKUP_IDENTITY", "")
        )
    except ValueError as error:
        raise UnusableError(str(error)) from None


def hooks_of(environ: dict[str, str]) -> Hooks:
    """What the environment wants to be run around a move."""
    return Hooks(environ.get("CONTROL_PLANE_MOVE_BEFORE", ""), environ.get("CONTROL_PLANE_MOVE_AFTER", ""))


def answered(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run it; what goes wrong with stores and files as one line and an exit code. Raises UnusableError."""
    try:
        return asyncio.run(work())
    except (MoveError, SchemaError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (PlaceError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except (BackupError, ValueError) as error:
        raise UnusableError(str(error)) from None


def kept_of(environ: Mapping[str, str], data_dir: Path | None, to: str | None = None) -> Configured:
    """Where backups are, by the environment and by `to` over it; UnusableError where a setting makes no sense."""
    named = dict(environ)
    if to is not None:
        named["CONTROL_PLANE_BACKUP_URL" if to.startswith("s3:") else "CONTROL_PLANE_BACKUP_DIR"] = to
    try:
        return kept_by(named, service_folder(environ, data_dir))
    except ValueError as error:
        raise UnusableError(str(error)) from None


def service_folder(environ: Mapping[str, str], data_dir: Path | None) -> Path:
    """The data folder of the control plane: the variable's, or that of `up`."""
    folder = environ.get("CONTROL_PLANE_DATA_DIR")
    return Path(folder) if folder else installation(data_dir).control_plane


def local_file(environ: Mapping[str, str], data_dir: Path | None = None) -> Path | None:
    """The file that everything is kept in; None where that is a database."""
    if environ.get("CONTROL_PLANE_STORE") not in (StoreName.LOCAL, StoreName.CHROMA):
        return None
    folders = [service_folder(environ, data_dir)]
    if data_dir is None and not environ.get("CONTROL_PLANE_DATA_DIR"):
        folders.insert(0, Path(DATA_DIR))  # where the service itself would look
    files = [folder / LOCAL_FILE for folder in folders]
    return next((file for file in files if file.exists()), files[0])


def told_of_comparison(plan: Plan, rows: Sequence[Compared], *, as_json: bool) -> int:
    """Both sides, printed; the exit code."""
    if as_json:
        print(msgspec.json.encode({"plan": plan, "entities": rows}).decode())
    else:
        _print_sides(plan, rows)
        print(plan.problem or f"the target is {plan.standing.value}")
    return 0 if all(row.same for row in rows) else 1


def told_of_move(moved: Moved, *, as_json: bool) -> int:
    """What was moved, printed; the exit code."""
    if as_json:
        print(msgspec.json.encode(moved).decode())
    else:
        _print_sides(moved.plan, moved.entities)
        for fault in moved.audit_faults:
            print(f"audit, {fault}; it was so where it came from. `layout-mutation audit` says more")
        print(f"moved {moved.records:,} records; both sides are the same")
    if moved.remark:
        print(f"error: {moved.remark}", file=sys.stderr)
    return 1 if moved.remark else 0


def _print_sides(plan: Plan, rows: Sequence[Compared]) -> None:
    print(f"from {plan.source.place}\nto   {plan.target.place}")
    for row in rows:
        if row.source.count or row.target.count:
            same = "same" if row.same else "differs"
            print(f"  {row.entity:<24}{row.source.count:>10,}{row.target.count:>10,}  {same}")
