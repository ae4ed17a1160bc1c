"""Content-Security-Policy fields: letting the engine's own style block pass, and nothing else.

Pure, on the fields of a response. Each policy of each field is judged by itself, report-only ones too: all of them have a
say, and a report about us helps nobody.
Counterpart: `rules.html.policy` knows what one policy says; `rules.html.workspace` does the same for `<meta>`.
Never: `unsafe-inline`, a script directive, or anything for what an author wrote.
"""

from collections.abc import Iterable, Iterator, Sequence

from rules.html import policy
from rules.splices import spliced
from sidecar.headers import Field

_POLICY_FIELDS = frozenset({b"content-security-policy", b"content-security-policy-report-only"})


def has_policy(fields: Iterable[Field]) -> bool:
    """Whether any policy governs the page by its head."""
    return any(name.lower() in _POLICY_FIELDS for name, _ in fields)


def style_nonce(fields: Iterable[Field]) -> str | None:
    """A nonce that the page's policies accept on a `<style>` element; None where no policy has one."""
    return next(filter(None, map(policy.style_nonce, _policies(fields))), None)


def allowing_styles(fields: Iterable[Field], hashes: Sequence[str], nonce: str | None) -> list[Field]:
    """The fields with every policy accepting style blocks of these SHA-256 `hashes` (base64), or that carry `nonce`."""
    return [
        (name, b",".join(_allowing(one, hashes, nonce) for one in value.split(b",")))
        if name.lower() in _POLICY_FIELDS
        else (name, value)
        for name, value in fields
    ]


def _policies(fields: Iterable[Field]) -> Iterator[str]:
    for name, value in fields:
        if name.lower() in _POLICY_FIELDS:
            yield from value.decode("latin-1").split(",")


def _allowing(one: bytes, hashes: Sequence[str], nonce: str | None) -> bytes:
    text = one.decode("latin-1")
    return spliced(text, policy.allowing_style(text, hashes, nonce)).encode("latin-1")
