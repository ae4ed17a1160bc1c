"""Content-Security-Policy: whether one policy lets the browser script in, and the least that has to be added to it.

A nonce that the page already uses is reused; a policy that allows scripts of the page's own host needs nothing, for that is
where the script is; else its hash is added, which lets in these very bytes (CSP Level 3, "external scripts by integrity").
Where a hash would switch off inline scripts that the site allows, nothing is added and the script stays away.
Counterpart: `sidecar.heads.content_security` asks for the policies of a response's head, `rules.html.rewrite` for those in `<meta>`.
Never: `unsafe-inline`, `'self'`, a host, or anything for what an author wrote.
"""

from collections.abc import Sequence
from enum import Enum, auto

from rules.html.policy import HASH, NONCE, governing_directive, widened
from rules.splices import Splice

_OWN_HOST = frozenset({"'self'", "*", "https:"})
"""Sources that take in the page's own host; a site that allows `https:` is served by it."""
_DIRECTIVES = ("script-src-elem", "script-src", "default-src")
"""Which directive governs a `<script>` element: the first of these that a policy has."""


class Verdict(Enum):
    """What a policy says of the browser script."""

    ALLOWED = auto()
    WITH_HASH = auto()
    """Not as it stands; with the script's hash it would."""
    FORBIDDEN = auto()


def script_nonce(policies: Sequence[str]) -> str:
    """A nonce that these policies accept on a `<script>` element; empty where none has one."""
    for policy in policies:
        for source in _sources(policy):
            if match := NONCE.fullmatch(source):
                return match[1]
    return ""


def verdict(policy: str, nonce: str) -> Verdict:
    """Whether the policy lets in a script of the page's own host that carries `nonce` (empty: none)."""
    if governing_directive(policy, _DIRECTIVES) is None:
        return Verdict.ALLOWED
    sources = _sources(policy)
    lowered = {source.lower() for source in sources}
    nonces = [match[1] for source in sources if (match := NONCE.fullmatch(source))]
    if nonce and nonce in nonces:
        return Verdict.ALLOWED
    if "'strict-dynamic'" not in lowered and lowered & _OWN_HOST:
        return Verdict.ALLOWED
    strict = "'strict-dynamic'" in lowered or nonces or any(map(HASH.match, sources))
    return Verdict.FORBIDDEN if "'unsafe-inline'" in lowered and not strict else Verdict.WITH_HASH


def with_hash(policy: str, integrity: str) -> tuple[Splice, ...]:
    """What has the policy let in the script with this `sha256-…` too."""
    governing = governing_directive(policy, _DIRECTIVES)
    return () if governing is None else widened(policy, governing, [f"'{integrity}'"], "script-src")


def _sources(policy: str) -> list[str]:
    governing = governing_directive(policy, _DIRECTIVES)
    return [] if governing is None else [source[0] for source in governing.sources]
