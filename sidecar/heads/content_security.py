"""Content-Security-Policy fields: letting the engine's own style block and the browser script pass, and nothing else.

Pure, on the fields of a response. Each policy of each field is judged by itself, report-only ones too: all of them have a
say, and a report about us helps nobody.
Counterpart: `rules.html.policy` and `rules.html.script_policy` know what one policy says; `rules.html` does the same for
`<meta>`.
Never: `unsafe-inline`, or anything for what an author wrote.
"""

from collections.abc import Iterable, Iterator, Sequence

from rules.html import Script, policy
from rules.html.script_policy import Verdict, script_nonce, verdict, with_hash
from rules.splices import spliced
from sidecar.heads.headers import Field

_ENFORCED = b"content-security-policy"
_POLICY_FIELDS = frozenset({_ENFORCED, b"content-security-policy-report-only"})
_SEPARATORS = b",; \t\n\f\r"

POLICIES_MAX = 32
PARTS_MAX = 2_000
"""Policies of one head, and the directives and sources of all: real ones are one or two, of some 500 parts at most. Each is looked
at several times, on the event loop: 64 KB of commas took 400 ms."""


def has_policy(fields: Iterable[Field]) -> bool:
    """Whether any policy governs the page by its head."""
    return any(name.lower() in _POLICY_FIELDS for name, _ in fields)


def is_too_long(fields: Iterable[Field]) -> bool:
    """Whether the policies are more than POLICIES_MAX or have more than PARTS_MAX parts: reading them would keep others waiting."""
    values = [value for name, value in fields if name.lower() in _POLICY_FIELDS]
    if sum(value.count(b",") + 1 for value in values) > POLICIES_MAX:
        return True
    return sum(len(value) - len(value.translate(None, _SEPARATORS)) for value in values) > PARTS_MAX


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


def script_for(fields: Iterable[Field], address: str, integrity: str) -> Script | None:
    """How the browser script is called on a page with these fields; None where a policy would keep it out anyway.

    A policy that only reports keeps nothing out, so it is not asked and not changed.
    """
    enforced = [*_policies((name, value) for name, value in fields if name.lower() == _ENFORCED)]
    nonce = script_nonce(enforced)
    verdicts = {verdict(one, nonce) for one in enforced}
    if Verdict.FORBIDDEN in verdicts:
        return None
    return Script(address, integrity if Verdict.WITH_HASH in verdicts else "", nonce)


def allowing_script(fields: Iterable[Field], script: Script) -> list[Field]:
    """The fields with every policy letting in what `script_for` found a way for."""
    if not script.integrity:
        return list(fields)
    return [
        (name, b",".join(_with_script(one, script) for one in value.split(b",")))
        if name.lower() == _ENFORCED
        else (name, value)
        for name, value in fields
    ]


def _with_script(one: bytes, script: Script) -> bytes:
    text = one.decode("latin-1")
    if verdict(text, script.nonce) is not Verdict.WITH_HASH:
        return one
    return spliced(text, with_hash(text, script.integrity)).encode("latin-1")


def _policies(fields: Iterable[Field]) -> Iterator[str]:
    for name, value in fields:
        if name.lower() in _POLICY_FIELDS:
            yield from value.decode("latin-1").split(",")


def _allowing(one: bytes, hashes: Sequence[str], nonce: str | None) -> bytes:
    text = one.decode("latin-1")
    return spliced(text, policy.allowing_style(text, hashes, nonce)).encode("latin-1")
