"""The keys and addresses of an installation: generated once into its `.env`, mode 0600.

Counterpart: `service.settings`, which reads such a file. The two URLs in it name the embedded servers, so that other
commands (`token`, `migrate`, `doctor`) find them while `up` runs; their passwords and ports are remembered there and
nowhere else. Variables of the real environment win over the file.

Never logs a value, never writes a file that others could read even for an instant.
"""

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.store.chain import KEY_BYTES, derived_key
from layout_mutation.embedded.ports import LOOPBACK, free_port, is_free
from layout_mutation.embedded.postgres import DATABASE, USER
from layout_mutation.processes import RunError
from service.settings import SettingsError, read_dotenv

HEADER = """\
# Written by `layout-mutation up`, once. It holds secrets: keep it to yourself, and keep it with the data beside it.
# Real environment variables win over this file.
"""


def load(dotenv: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Every key of the installation, `environ` first; what the file lacks is generated and written to it.

    Raises:
        RunError: the file cannot be read as `NAME=value` lines.
        OSError: it cannot be written.
    """
    try:
        kept = read_dotenv(dotenv)
    except SettingsError as error:
        raise RunError(str(error)) from None
    if dotenv.exists():
        dotenv.chmod(0o600)
    known = complete(kept)
    if known != kept:
        write(dotenv, known)
    real = {name: value for name, value in environ.items() if value and name in known}
    merged = known | real
    if "SIDECAR_TABLE_PUBLIC_KEYS" not in real:
        merged["SIDECAR_TABLE_PUBLIC_KEYS"] = with_public_key(
            merged["SIDECAR_TABLE_PUBLIC_KEYS"], merged["CONTROL_PLANE_SIGNING_KEY"]
        )
    return merged


def complete(kept: Mapping[str, str]) -> dict[str, str]:
    """`kept` with everything that is missing: fresh keys, and a port that is free now for each server."""
    known = {name: value for name, value in kept.items() if value}
    known.setdefault("LAYOUT_MUTATION_ENVIRONMENT", "local")
    known["DATABASE_URL"] = with_free_port(known.get("DATABASE_URL") or database_url(secrets.token_hex(24)))
    known["REDIS_URL"] = with_free_port(known.get("REDIS_URL") or redis_url(secrets.token_hex(24)))
    known.setdefault(
        "CONTROL_PLANE_SIGNING_KEY", base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()
    )
    known.setdefault("SIDECAR_TABLE_PUBLIC_KEYS", with_public_key("", known["CONTROL_PLANE_SIGNING_KEY"]))
    known.setdefault("CONTROL_PLANE_AUDIT_KEYS", _audit_key(kept.get("CONTROL_PLANE_SIGNING_KEY", "")))
    known.setdefault("CONTROL_PLANE_JWT_SECRET", secrets.token_urlsafe(48))
    known.setdefault("SIDECAR_OPS_TOKEN", secrets.token_urlsafe(32))
    known.setdefault("SIDECAR_STATE_KEYS", secrets.token_urlsafe(32))
    known.setdefault("SIDECAR_EVENTS_KEY", secrets.token_urlsafe(32))
    return known


def _audit_key(signing_key: str) -> str:
    """A fresh key; for an installation from before there were any, the one that its audit is sealed with."""
    try:
        secret = base64.b64decode(signing_key, validate=True)
    except ValueError:
        secret = b""
    return base64.b64encode(derived_key(secret) if secret else secrets.token_bytes(KEY_BYTES)).decode()


def database_url(password: str, port: int = 0) -> str:
    """The address of the embedded PostgreSQL."""
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{DATABASE}"


def redis_url(password: str, port: int = 0) -> str:
    """The address of the embedded Valkey."""
    return f"redis://:{password}@{LOOPBACK}:{port}/0"


def is_embedded(url: str) -> bool:
    """Whether a URL in the file names a server that `up` starts: those live on the loopback address only."""
    return urlsplit(url).hostname == LOOPBACK


def with_free_port(url: str) -> str:
    """The URL, with another port where somebody else has taken the remembered one meanwhile."""
    parts = urlsplit(url)
    if not is_embedded(url) or (parts.port and is_free(parts.port)):
        return url
    authority = f"{parts.netloc.rpartition('@')[0]}@{LOOPBACK}:{free_port()}"
    return parts._replace(netloc=authority).geturl()


def with_public_key(public_keys: str, signing_key: str) -> str:
    """`public_keys` (base64, separated by commas), led by the one that belongs to `signing_key`.

    Raises:
        RunError: `signing_key` is not the base64 of 32 bytes.
    """
    try:
        private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(signing_key, validate=True))
    except ValueError:
        raise RunError("CONTROL_PLANE_SIGNING_KEY is not usable: it must be 32 bytes in base64") from None
    own = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    others = [key.strip() for key in public_keys.split(",") if key.strip()]
    return public_keys if own in others else ",".join([own, *others])


def write(dotenv: Path, values: Mapping[str, str]) -> None:
    """Replace the file as a whole. A draft that cannot be finished leaves the old one in place."""
    draft = dotenv.with_name(f"{dotenv.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(HEADER + "".join(f"{name}={value}\n" for name, value in values.items()))
            file.flush()
            os.fsync(descriptor)
        draft.replace(dotenv)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
