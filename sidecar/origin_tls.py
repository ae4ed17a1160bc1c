"""TLS to origins: whom to believe, and what to prove oneself with. Checked when the sidecar starts.

Counterparts: `origin_settings` declares the variables, `origin.upstream` connects.
Never: a connection that is not verified, a password in an error, or a question on a terminal.
"""

import ssl
from pathlib import Path


def client_context(*, ca_file: str, certificate_file: str, key_file: str, key_password: str) -> ssl.SSLContext:
    """The context for every https origin; ValueError names the variable and the fix.

    `ca_file` empty: the system's authorities. `certificate_file` empty: no client certificate; `key_file` empty: the key
    is in the same file.
    """
    _check_readable("SIDECAR_UPSTREAM_CA_FILE", ca_file)
    _check_readable("SIDECAR_UPSTREAM_CERTIFICATE_FILE", certificate_file)
    _check_readable("SIDECAR_UPSTREAM_KEY_FILE", key_file)
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except ssl.SSLError as error:
        raise ValueError(f"SIDECAR_UPSTREAM_CA_FILE has no certificates in PEM: {_why(error)}") from None
    context.set_alpn_protocols(["http/1.1"])
    if certificate_file:
        _prove(context, certificate_file, key_file, key_password)
    elif key_file:
        raise ValueError(
            "SIDECAR_UPSTREAM_KEY_FILE needs SIDECAR_UPSTREAM_CERTIFICATE_FILE, the certificate of that key"
        )
    elif key_password:
        raise ValueError("SIDECAR_UPSTREAM_KEY_PASSWORD needs SIDECAR_UPSTREAM_CERTIFICATE_FILE")
    return context


def _prove(context: ssl.SSLContext, certificate_file: str, key_file: str, key_password: str) -> None:
    asked: list[bool] = []

    def password() -> str:
        """Without this OpenSSL would ask on the terminal."""
        asked.append(True)
        return key_password

    try:
        context.load_cert_chain(certificate_file, key_file or None, password)
    except (ssl.SSLError, ValueError) as error:
        if asked:
            raise ValueError(
                "SIDECAR_UPSTREAM_KEY_PASSWORD does not open the key of SIDECAR_UPSTREAM_CERTIFICATE_FILE"
                if key_password
                else "SIDECAR_UPSTREAM_KEY_PASSWORD is not set, and the key of SIDECAR_UPSTREAM_CERTIFICATE_FILE is encrypted"
            ) from None
        named = "SIDECAR_UPSTREAM_KEY_FILE" if key_file else "SIDECAR_UPSTREAM_CERTIFICATE_FILE"
        raise ValueError(f"{named} has no key in PEM that belongs to the certificate: {_why(error)}") from None


def _check_readable(variable: str, file: str) -> None:
    if not file:
        return
    try:
        Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{variable} can't be read: {error.strerror} (got {file[:200]!r})") from None


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)[:120]
