"""Stores as commands are given them: an address, or the name of a variable that holds one.

Counterpart: `control_plane.moving.places` opens them. Never: an address with its password in a message.
"""

import base64
import binascii
import secrets

from control_plane.moving.places import place_of
from control_plane.store import Chain
from control_plane.store.chain import KEY_BYTES, derived_key
from layout_mutation.inputs import UnusableError

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
        return Chain([derived_key(base64.b64decode(environ["CONTROL_PLANE_SIGNING_KEY"], validate=True))])
    except (KeyError, binascii.Error):
        return Chain([secrets.token_bytes(KEY_BYTES)])
