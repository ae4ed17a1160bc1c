"""What REDIS_URL may say. The client library lets its parameters overrule what a program asks of it, and meets most of what is
wrong in one only when it connects, again and again.

Counterparts: both planes' settings and the doctor ask here; whoever opens a connection sets the rest (time-outs, retries, bytes and
not text).
Never: a connection, the client library, or a word of the address in an error: what is wrong may be a piece of the password.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

_SCHEMES = ("redis://", "rediss://", "unix://")
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_ANYTHING = re.compile(r".+", re.DOTALL)
_PARAMETERS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "client_name": (re.compile(r"[!-~]+"), "a name of ASCII without spaces"),
    "db": (_NUMBER, "a number"),
    "health_check_interval": (_NUMBER, "a number of seconds"),
    "password": (_ANYTHING, ""),
    "protocol": (re.compile("[23]"), "2 or 3"),
    "username": (_ANYTHING, ""),
}
_OVER_TCP: Mapping[str, tuple[re.Pattern[str], str]] = {"socket_keepalive": (_ANYTHING, "")}
_OVER_TLS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "ssl_ca_certs": (_ANYTHING, ""),
    "ssl_ca_data": (_ANYTHING, ""),
    "ssl_ca_path": (_ANYTHING, ""),
    "ssl_cert_reqs": (re.compile("none|optional|required"), "none, optional or required"),
    "ssl_certfile": (_ANYTHING, ""),
    "ssl_check_hostname": (re.compile("true|false|yes|no|1|0", re.IGNORECASE), "true or false"),
    "ssl_ciphers": (_ANYTHING, ""),
    "ssl_keyfile": (_ANYTHING, ""),
    "ssl_min_version": (re.compile("771|772"), "771 (TLS 1.2) or 772 (TLS 1.3)"),
    "ssl_password": (_ANYTHING, ""),
}
_FILES = frozenset({"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"})
_SET_HERE = frozenset(
    {
        "decode_responses",
        "encoding",
        "encoding_errors",
        "legacy_responses",
        "max_connections",
        "parser_class",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_read_size",
        "socket_timeout",
        "timeout",
    }
)
"""What the library would let an address overrule, and is part of how Redis is read here."""


def check(url: str) -> None:
    """Raise ValueError, naming REDIS_URL and the fix, for an address that no plane could use."""
    if not url.startswith(_SCHEMES):
        raise ValueError(
            "REDIS_URL is no address such as redis://127.0.0.1:6379/0 (or rediss:// for TLS, unix:// for a socket)"
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
        given = parse_qsl(parts.query)
    except ValueError:  # its message quotes the address
        raise ValueError(_ADVICE) from None
    if parts.fragment or "@" in parts.query or "@" in parts.path:
        raise ValueError(_ADVICE)
    if parts.scheme != "unix" and not re.fullmatch(r"/?|/[0-9]{1,9}/?", parts.path, re.ASCII):
        raise ValueError("REDIS_URL: what stands behind the host must be the number of a database, for example /0")
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("REDIS_URL: unix:// needs the path of a socket, for example unix:///run/valkey/valkey.sock")
    for name, value in given:
        _check_parameter(parts, name, value)


_ADVICE = (
    "REDIS_URL is no address such as redis://127.0.0.1:6379/0: a port is a number to 65535, and in a user's name or a password "
    "each of / ? # @ : [ ] % is written as %2F %3F %23 %40 %3A %5B %5D %25"
)


def _check_parameter(parts: SplitResult, name: str, value: str) -> None:
    if name in _OVER_TLS and parts.scheme != "rediss":
        raise ValueError(f"REDIS_URL: {name} is for TLS: begin with rediss://, or leave it out")
    known = _PARAMETERS if parts.scheme == "unix" else {**_PARAMETERS, **_OVER_TCP, **_OVER_TLS}
    if name not in known:
        said = name if name in _SET_HERE | _OVER_TCP.keys() else "a parameter"  # which one may be a piece of a password
        takes = ", ".join(sorted(known))
        raise ValueError(f"REDIS_URL: {said} can't be set there: leave it out. It takes {takes}")
    pattern, words = known[name]
    if not pattern.fullmatch(value):
        raise ValueError(f"REDIS_URL: {name} must be {words}")
    if name in _FILES and not Path(value).exists():
        raise ValueError(f"REDIS_URL: there is nothing where {name} leads to on this machine")
