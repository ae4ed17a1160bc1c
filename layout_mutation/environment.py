"""What commands know of an installation: the real environment, over `.env` here, over the data folder's `.env`.

Counterpart: `keyring.py` writes the data folder's file. Never: a value of it in a message.
"""

import argparse
import os
from pathlib import Path

from layout_mutation.inputs import UnusableError
from layout_mutation.installation import installation
from service.settings import SettingsError, read_dotenv

DATABASE_URL = "DATABASE_URL"


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir`, as `up` has it."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="FOLDER", help="the folder of `layout-mutation up` [.layout-mutation]"
    )


def read_environment(data_dir: Path | None) -> dict[str, str]:
    """Every variable a command may need; an empty one counts as absent, wherever it stands, as it does for the planes."""
    layers = (_dotenv(installation(data_dir).dotenv), _dotenv(Path(".env")), os.environ)
    environ = {name: value for layer in layers for name, value in layer.items() if value}
    if environ.get("CONTROL_PLANE_DATABASE_POOLED", "").lower() in ("true", "1") and DATABASE_URL in environ:
        url = environ[DATABASE_URL]
        environ[DATABASE_URL] = f"{url}{'&' if '?' in url else '?'}pgbouncer=true"  # for who has but the URL
    return environ


def _dotenv(path: Path) -> dict[str, str]:
    try:
        return read_dotenv(path)
    except SettingsError as error:
        raise UnusableError(str(error)) from None
    except UnicodeDecodeError:
        raise UnusableError(f"{path}: this is not text in UTF-8") from None
    except OSError as error:
        raise UnusableError(f"{path}: {error.strerror or error}") from None


def require(environ: dict[str, str], name: str) -> str:
    """The value of a variable; UnusableError, naming it and where it may be set, without one."""
    value = environ.get(name)
    if not value:
        raise UnusableError(
            f"{name} is not set: set it in the environment or in .env, or name the folder with --data-dir"
        )
    return value
