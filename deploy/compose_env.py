"""The `.env` that docker-compose.yml asks for: fresh keys and passwords, written once, mode 0600.

    python -m deploy.compose_env [FILE]        (`make env`)

Counterpart: docker-compose.yml, which has no default for any of these. Never: replaces a file, or prints a value.
"""

import base64
import os
import secrets
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def fresh() -> dict[str, str]:
    """A value for every variable that docker-compose.yml requires. Passwords are safe inside a URL."""
    key = Ed25519PrivateKey.generate()
    return {
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "VALKEY_PASSWORD": secrets.token_hex(24),
        "CONTROL_PLANE_SIGNING_KEY": base64.b64encode(key.private_bytes_raw()).decode(),
        "CONTROL_PLANE_AUDIT_KEYS": base64.b64encode(secrets.token_bytes(32)).decode(),
        "CONTROL_PLANE_JWT_SECRET": secrets.token_urlsafe(48),
        "SIDECAR_TABLE_PUBLIC_KEYS": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "SIDECAR_OPS_TOKEN": secrets.token_urlsafe(32),
        "SIDECAR_STATE_KEYS": secrets.token_urlsafe(32),
        "SIDECAR_EVENTS_KEY": secrets.token_urlsafe(32),
    }


def write(path: Path) -> None:
    """Write the file; raises FileExistsError rather than lose the keys of an installation."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("# Secrets of one installation, for docker-compose.yml. Keep it to yourself.\n")
        file.writelines(f"{name}={value}\n" for name, value in fresh().items())


def main(arguments: list[str]) -> int:
    """0 written, 1 there is one already, 3 it can't be written."""
    path = Path(arguments[0] if arguments else ".env")
    try:
        write(path)
    except FileExistsError:
        print(f"{path} exists and is left as it is: its keys belong to an installation", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{path} can't be written: {error.strerror}", file=sys.stderr)
        return 3
    print(f"{path} written, with fresh keys and passwords")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
