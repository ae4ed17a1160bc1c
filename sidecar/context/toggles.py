"""What operators switch by request header, for one request.

`X-Layout-Mutation: off`, `-Disable: hero, layer:micro`, `-Only: mutation:ID`, `-Force: experiment=variation`, `-Explain: 1`,
all of it only with the right `X-Layout-Mutation-Token`. Counterparts: `rules.switch_words`, which says what a word names;
`visit`, which puts them into the context; `headers`, which removes every one of these fields before the origin sees the
request.
Never: obeyed because of where a request comes from; behind a balancer every visitor's address is the balancer's.
"""

import hmac

from msgspec import Struct
from multidict import MultiMapping

from rules.switch_words import words_of

TOKEN = "X-Layout-Mutation-Token"  # noqa: S105  the name of a field, not a secret
OFF = "X-Layout-Mutation"
DISABLE = "X-Layout-Mutation-Disable"
ONLY = "X-Layout-Mutation-Only"
FORCE = "X-Layout-Mutation-Force"
EXPLAIN = "X-Layout-Mutation-Explain"


class Toggles(Struct, frozen=True):
    """What an operator asked for. A response that these shaped is for nobody's cache."""

    off: bool = False
    disabled: frozenset[str] = frozenset()
    """Words for what is off."""
    only: frozenset[str] | None = None
    """Words for what stays on; None for all."""
    forced: dict[str, str] = {}
    """Experiment id -> variation key."""
    explain: bool = False
    operator: bool = True
    """Who asked has the token; False for a preview link, which says what is forced and no more."""

    @property
    def not_understood(self) -> tuple[str, ...]:
        """Words among them that name nothing."""
        return words_of(self.disabled | (self.only or frozenset())).not_understood


def read(headers: MultiMapping[str], ops_token: str) -> Toggles | None:
    """The toggles of a request, None without a valid token; an empty `ops_token` makes no token valid."""
    if TOKEN not in headers or not ops_token:
        return None
    given = headers[TOKEN].encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(given, ops_token.encode()):
        return None
    only = _names(headers, ONLY)
    pairs = (item.partition("=") for item in _names(headers, FORCE))
    return Toggles(
        off=headers.get(OFF, "").strip().lower() == "off",
        disabled=frozenset(_names(headers, DISABLE)),
        only=frozenset(only) if ONLY in headers else None,
        forced={key.strip(): value.strip() for key, equals, value in pairs if equals},
        explain=headers.get(EXPLAIN, "").strip() == "1",
    )


def _names(headers: MultiMapping[str], name: str) -> list[str]:
    return [item.strip() for value in headers.getall(name, []) for item in value.split(",") if item.strip()]
