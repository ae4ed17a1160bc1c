"""The words of the second opinion: a case, what may be said of it, and why nothing can be.

Counterpart: `service.second_opinion` judges. Both planes ask a process of their own for that, and these are the messages.
Never: selectolax; whoever serves visitors may import this.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from rules.group import Group
from rules.html import Rewritten, Touched

PAGE_BYTES_MAX = 4 * 1024 * 1024
"""A page that is judged at all: as large as one that is rewritten by default."""


class Verdict(StrEnum):
    """What the second opinion is."""

    AGREES = "agrees"
    DIFFERS = "differs"
    """Something else changed, or something did not."""
    NO_OPINION = "no_opinion"


class Doubt(StrEnum):
    """Why there is no opinion."""

    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    ATTRIBUTES = "attributes"
    """An element with more attributes than selectolax gets through in time."""
    CHARSET = "charset"
    SELECTOR = "selector"
    """selectolax does not take a selector, or takes it otherwise."""
    READ_OTHERWISE = "read_otherwise"
    """The two parsers make unlike trees of this page, whoever is right."""
    VERB = "verb"
    """An operation that the judge can't carry out."""
    FAILED = "failed"
    """The judge ended over the page, took too long, or there was no rewritten page."""


class Opinion(Struct, frozen=True):
    """A verdict; `detail` is one line: where the page differs and how, or what the doubt is about."""

    verdict: Verdict
    doubt: Doubt | None = None
    detail: str = ""


class Judged(Struct, frozen=True):
    """An opinion, and for one that differs the mutations to blame."""

    opinion: Opinion
    blamed: tuple[str, ...] = ()


class Case(Struct, frozen=True, kw_only=True):
    """A page before and after. `groups` are those that were asked for, `touched` says what became of them."""

    page: bytes
    rewritten: bytes
    charset: str
    """WHATWG name, as `Rewritten` has it."""
    nonce: str | None = None
    groups: tuple[Group, ...]
    touched: tuple[Touched, ...]

    @classmethod
    def of(cls, page: bytes, result: Rewritten, groups: Sequence[Group], *, nonce: str | None = None) -> "Case":
        """The case of a page that was rewritten."""
        return cls(
            page=page,
            rewritten=result.page,
            charset=result.charset,
            nonce=nonce,
            groups=tuple(groups),
            touched=result.touched,
        )
