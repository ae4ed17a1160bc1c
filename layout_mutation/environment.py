"""What commands know of an installation: the real environment, over `.env` here, over the data folder's `.env`.

Counterpart: `keyring.py` writes the data folder's file. Never: a value of it in a message.
"""

import argparse
import os
from pathlib import Path

from layout_mutation.inputs import UnusableError
from layout_mutation.installation import installation
from service.settings import SettingsError, read_dotenv


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Declare `--data-dir`, as `up` has it."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="FOLDER", help="the folder of `layout-mutation up` [.layout-mutation]"
    )


def read_environment(data_dir: Path | None) -> dict[str, str]:
    """Every variable a command may need."""
    try:
        return {
            **read_dotenv(installation(data_dir).dotenv),
            **read_dotenv(Path(".env")),
            **{name: value for name, value in os.environ.items() if value},
        }
    except (SettingsError, OSError) as error:
        raise UnusableError(str(error)) from None


def require(environ: dict[str, str], name: str) -> str:
    """The value of a variable; UnusableError, naming it and where it may be set, without one."""
    value = environ.get(name)
    if not value:
        raise UnusableError(
            f"{name} is not set: set it in the environment or in .env, or name the folder with --data-dir"
        )
    return value
