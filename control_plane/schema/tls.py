"""What a database URL says of TLS, as libpq means it (PostgreSQL 18, 32.1.2 and 32.19), made into what asyncpg takes.

| sslmode | encrypted | certificate signed by whom is asked | host's name is asked |
| --- | --- | --- | --- |
| disable | no | | |
| allow, prefer (where none is given) | if the server likes | no | no |
| require | yes | only where there is a `sslrootcert` | no |
| verify-ca | yes | yes, `sslrootcert` | no |
| verify-full | yes | yes, `sslrootcert` or the system's authorities | yes |

Stricter than libpq in three things, each of which would go unnoticed there: a `sslrootcert` or `sslcert` that the mode
would not use is refused; `verify-full` without `sslrootcert` asks the system's authorities instead of failing; files in
~/.postgresql are not looked for. Counterpart: `address.py` takes the URL apart. Never: a key or its password in a message.
"""

import ssl
from collections.abc import Callable, Mapping

from msgspec import Struct

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
CERTAIN = MODES[3:]
"""Those where a connection without TLS is none."""
SYSTEM = "system"
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


class Tls(Struct, frozen=True):
    """How a connection is encrypted, and what the server has to prove."""

    mode: str = "prefer"
    root: str = ""
    """File of the authorities that are believed; `system` for those that this machine believes; empty for none."""
    certificate: str = ""
    key: str = ""
    key_password: str = ""
    revoked: str = ""
    oldest: str = "TLSv1.2"
    newest: str = "TLSv1.3"
    direct: bool = False
    """TLS from the first byte on, as PostgreSQL 17 and newer understand."""

    @classmethod
    def of(cls, given: Mapping[str, str], *, verified: bool = False) -> "Tls":
        """What the parameters of a URL say; raises ValueError with the fix. `verified`: nothing less than verify-full."""
        root = given.get("sslrootcert", "")
        mode = given.get("sslmode") or ("verify-full" if root == SYSTEM else "prefer")
        if mode not in MODES:
            raise ValueError(f"DATABASE_URL: sslmode is one of {', '.join(MODES)}")
        if verified:
            if mode == "disable":
                raise ValueError("DATABASE_URL: channel_binding=require and sslmode=disable exclude each other")
            mode = "verify-full"
        _check(mode, root, given)
        if mode == "verify-full":
            root = root or SYSTEM
        return cls(
            mode=mode,
            root=root,
            certificate=given.get("sslcert", ""),
            key=given.get("sslkey", ""),
            key_password=given.get("sslpassword", ""),
            revoked=given.get("sslcrl", ""),
            oldest=given.get("ssl_min_protocol_version") or cls().oldest,
            newest=given.get("ssl_max_protocol_version") or cls().newest,
            direct=given.get("sslnegotiation") == "direct",
        )

    @property
    def verifies(self) -> bool:
        """Whether a server with another certificate is refused."""
        return bool(self.root)

    def context(self) -> ssl.SSLContext | str:
        """asyncpg's `ssl`; reads the files anew. Raises ValueError for one that can't be used."""
        if self.mode not in CERTAIN:
            return self.mode
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version, context.maximum_version = VERSIONS[self.oldest], VERSIONS[self.newest]
        context.check_hostname = self.mode == "verify-full"
        context.verify_mode = ssl.CERT_REQUIRED if self.verifies else ssl.CERT_NONE
        if self.root == SYSTEM:
            context.load_default_certs()
        elif self.root:
            _load("sslrootcert", self.root, lambda: context.load_verify_locations(cafile=self.root))
        if self.revoked:
            _load("sslcrl", self.revoked, lambda: context.load_verify_locations(cafile=self.revoked))
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        if self.certificate:
            key = self.key or None
            # A password has to be given, or OpenSSL would ask for it at the terminal.
            _load(
                "sslcert",
                self.certificate,
                lambda: context.load_cert_chain(self.certificate, key, lambda: self.key_password),
            )
        context.set_alpn_protocols(["postgresql"])
        return context

    def __repr__(self) -> str:
        """Without the key's password."""
        return f"<Tls {self.mode}>"


def _check(mode: str, root: str, given: Mapping[str, str]) -> None:
    if root and mode not in CERTAIN:
        raise ValueError(
            f"DATABASE_URL: sslrootcert has no effect with sslmode={mode}; say sslmode=verify-full, or leave it out"
        )
    if root == SYSTEM and mode != "verify-full":
        raise ValueError(f"DATABASE_URL: sslrootcert=system takes sslmode=verify-full (got {mode})")
    if mode == "verify-ca" and not root:
        raise ValueError("DATABASE_URL: sslmode=verify-ca needs sslrootcert=FILE, the certificate of the authority")
    if given.get("sslcert") and mode not in CERTAIN:
        raise ValueError(f"DATABASE_URL: sslcert may go unused with sslmode={mode}; say sslmode=verify-full")
    if given.get("sslkey") and not given.get("sslcert"):
        raise ValueError("DATABASE_URL: sslkey needs sslcert=FILE, the certificate that it belongs to")
    for name in ("ssl_min_protocol_version", "ssl_max_protocol_version"):
        if given.get(name, "TLSv1.3") not in VERSIONS:
            raise ValueError(f"DATABASE_URL: {name} is {' or '.join(VERSIONS)}")
    if given.get("sslnegotiation", "postgres") not in ("postgres", "direct"):
        raise ValueError("DATABASE_URL: sslnegotiation is postgres or direct")
    if given.get("sslnegotiation") == "direct" and mode not in CERTAIN:
        raise ValueError("DATABASE_URL: sslnegotiation=direct takes sslmode=require or more")


def _load(name: str, file: str, load: Callable[[], None]) -> None:
    try:
        load()
    except FileNotFoundError:
        raise ValueError(f"DATABASE_URL: {name}: there is no file {file} (or its key is missing)") from None
    except (OSError, ssl.SSLError):
        raise ValueError(f"DATABASE_URL: {name}: {file} is no PEM file that this service may read and use") from None
