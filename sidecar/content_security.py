"""Content-Security-Policy: letting the engine's own style block pass, and nothing else.

Pure, on the fields of a response (CSP Level 3). A nonce that the page already uses is reused; without one the hash of
the block is added; where inline styles are allowed anyway nothing is touched, because a hash would switch that off.
Counterpart: `rules.html`, which writes the block and reports its hash.
Never: `unsafe-inline`, a script directive, or anything for what an author wrote.
"""

import re
from collections.abc import Iterable, Sequence

from sidecar.headers import Field

_POLICY_FIELDS = frozenset({b"content-security-policy", b"content-security-policy-report-only"})
_NONCE = re.compile(rb"^'nonce-([A-Za-z0-9+/_=-]+)'$", re.IGNORECASE)
_HASH = re.compile(rb"^'sha(256|384|512)-", re.IGNORECASE)
_STYLE_DIRECTIVES = (b"style-src-elem", b"style-src", b"default-src")
"""Which directive governs a `<style>` element: the first of these that a policy has."""


def has_policy(fields: Iterable[Field]) -> bool:
    """Whether any policy governs the page by its head."""
    return any(name.lower() in _POLICY_FIELDS for name, _ in fields)


def style_nonce(fields: Iterable[Field]) -> str | None:
    """A nonce that the page's policies accept on a `<style>` element; None where no policy has one."""
    for name, value in fields:
        if name.lower() in _POLICY_FIELDS:
            for policy in value.split(b","):
                _, sources = _governing(_directives(policy))
                for source in sources:
                    if match := _NONCE.match(source):
                        return match.group(1).decode()
    return None


def allowing_styles(fields: Iterable[Field], hashes: Sequence[str], nonce: str | None) -> list[Field]:
    """The fields with every policy accepting style blocks of these SHA-256 `hashes` (base64), or that carry `nonce`."""
    added = [f"'sha256-{value}'".encode() for value in hashes]
    result: list[Field] = []
    for name, value in fields:
        if name.lower() in _POLICY_FIELDS and added:
            policies = [_allowing(policy, added, nonce) for policy in value.split(b",")]
            result.append((name, b",".join(policies)))
        else:
            result.append((name, value))
    return result


def _allowing(policy: bytes, added: list[bytes], nonce: str | None) -> bytes:
    directives = _directives(policy)
    governing, sources = _governing(directives)
    if governing is None or _accepts(sources, nonce) or set(added) <= set(sources):
        return policy
    widened = [source for source in sources if source.lower() != b"'none'"] + added
    if governing == b"default-src":
        return b"%s; style-src %s" % (policy.rstrip(b"; \t"), b" ".join(widened))
    parts = [
        b"%s %s" % (words[0], b" ".join(widened)) if words and words[0].lower() == governing else b" ".join(words)
        for words in directives
    ]
    return b"; ".join(part for part in parts if part)


def _accepts(sources: list[bytes], nonce: str | None) -> bool:
    if nonce is not None and any(
        (match := _NONCE.match(source)) and match.group(1) == nonce.encode() for source in sources
    ):
        return True
    strict = any(_NONCE.match(source) or _HASH.match(source) for source in sources)
    return not strict and any(source.lower() == b"'unsafe-inline'" for source in sources)


def _directives(policy: bytes) -> list[list[bytes]]:
    return [words for part in policy.split(b";") if (words := part.split())]


def _governing(directives: list[list[bytes]]) -> tuple[bytes | None, list[bytes]]:
    for wanted in _STYLE_DIRECTIVES:
        for words in directives:
            if words[0].lower() == wanted:
                return wanted, words[1:]
    return None, []
