"""Content-Security-Policy: whether one policy lets the engine's own style block pass, and what has to be added to it.

A nonce that the page already uses is reused; else the block's hash is added where inline styles are not allowed anyway,
because there a hash would switch that off (CSP Level 3, "Does a source list allow all inline behavior").
Counterpart: `sidecar.heads.content_security` does it for the head of a response, `rules.html.workspace` for `<meta>`.
Never: `unsafe-inline`, a script directive, or anything for what an author wrote.
"""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from rules.splices import Splice

_DIRECTIVE = re.compile(r"[^;]+")
_WORD = re.compile(r"[^ \t\n\f\r]+")
NONCE = re.compile(r"'nonce-([A-Za-z0-9+/_=-]+)'", re.IGNORECASE)
HASH = re.compile(r"'sha(256|384|512)-", re.IGNORECASE)
_STYLE_DIRECTIVES = ("style-src-elem", "style-src", "default-src")
"""Which directive governs a `<style>` element: the first of these that a policy has."""


class Directive(NamedTuple):
    """One directive of a policy."""

    name: str
    sources: list[re.Match[str]]
    end: int
    """Where its last word ends."""


def style_nonce(policy: str) -> str | None:
    """A nonce that the policy accepts on a `<style>` element; None where it has none."""
    governing = governing_directive(policy, _STYLE_DIRECTIVES)
    for source in governing.sources if governing is not None else ():
        if match := NONCE.fullmatch(source[0]):
            return match[1]
    return None


def allowing_style(policy: str, hashes: Collection[str], nonce: str | None) -> tuple[Splice, ...]:
    """What makes the policy accept style blocks of these SHA-256 `hashes` (base64), or that carry `nonce`; () if it does."""
    governing = governing_directive(policy, _STYLE_DIRECTIVES)
    added = [f"'sha256-{value}'" for value in hashes]
    if governing is None or not added:
        return ()
    sources = [source[0] for source in governing.sources]
    if _accepts(sources, nonce) or set(added) <= set(sources):
        return ()
    return widened(policy, governing, added, "style-src")


def widened(policy: str, governing: Directive, added: Sequence[str], own: str) -> tuple[Splice, ...]:
    """What adds sources to the directive that governs, or to a new one called `own` where that is `default-src`."""
    if governing.name == "default-src":
        kept = [source[0] for source in governing.sources if source[0].lower() != "'none'"]
        end = len(policy.rstrip("; \t\n\f\r"))
        return (Splice(end, len(policy), f"; {own} {' '.join([*kept, *added])}"),)
    forbidding = [source for source in governing.sources if source[0].lower() == "'none'"]
    gone = [Splice(source.start() - 1, source.end(), "") for source in forbidding]
    return (*gone, Splice(governing.end, governing.end, " " + " ".join(added)))


def _accepts(sources: Sequence[str], nonce: str | None) -> bool:
    found = [match[1] for source in sources if (match := NONCE.fullmatch(source))]
    if nonce is not None and nonce in found:
        return True
    strict = bool(found) or any(HASH.match(source) for source in sources)
    return not strict and any(source.lower() == "'unsafe-inline'" for source in sources)


def governing_directive(policy: str, names: Sequence[str]) -> Directive | None:
    """The first of the directives called `names` that the policy has."""
    lowered = policy.lower()
    if not any(name in lowered for name in names):
        return None
    directives: dict[str, Directive] = {}
    for part in _DIRECTIVE.finditer(policy):
        first = _WORD.search(policy, *part.span())
        name = first[0].lower() if first else ""
        if name in names and name not in directives:  # of two directives of one name the first counts
            words = list(_WORD.finditer(policy, *part.span()))
            directives[name] = Directive(name, words[1:], words[-1].end())
    return next((directives[name] for name in names if name in directives), None)
