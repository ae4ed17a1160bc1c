"""Redirects: from the payload to the address that a visit is sent to, and which ones go round in circles.

Counterpart: `rules.decision` asks for each visit, `sidecar.proxy` answers it, `rules.lint` shows the circles.
Never: an address with anything of the visitor's in it but, where the author asks for it, the query of the visit.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from rules.addresses import Address, as_asked, keeps_query, read_address
from rules.errors import RulesError
from rules.model import RedirectMutation

LASTING = frozenset({301, 308})
"""Statuses that browsers remember."""


class Redirect(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a visit gets instead of the page."""

    mutation_id: str
    location: str
    """A path of the same site, or an address with scheme and host; ASCII."""
    status: int
    lasts: bool
    """The same for every visit of this address at any time: caches may keep it."""


class Destination(Struct, frozen=True, kw_only=True):
    """A redirect, compiled."""

    mutation_id: str
    address: Address
    status: int
    keep_query: bool

    def redirect(self, site: str, target: str, *, lasts: bool) -> Redirect | None:
        """Where a visit of `target` (path and query) on `site` is sent; None if it is there already."""
        path, _, query = as_asked(target.partition("#")[0]).partition("?")
        wanted = keeps_query(self.address.query, query) if self.keep_query else self.address.query
        if (self.address.host or site, self.address.path, wanted) == (site, path, query):
            return None
        location = self.address.origin + self.address.path
        location += f"?{wanted}" if wanted else ""
        location += f"#{self.address.fragment}" if self.address.fragment else ""
        return Redirect(mutation_id=self.mutation_id, location=location, status=self.status, lasts=lasts)


def compile_redirect(mutation: RedirectMutation, path: str) -> Destination:
    """The destination of a redirect; raises RulesError for what is no address, or leads to its own page."""
    payload = mutation.mutation_payload
    address = read_address(payload.to)
    if isinstance(address, str):
        raise RulesError(address, f"{path}.mutationPayload.to")
    here = (mutation.site.lower(), mutation.page_slug)
    if here == ((address.host or here[0]), address.path) and "*" not in mutation.page_slug and not address.query:
        raise RulesError("this leads to the page that it is about", f"{path}.mutationPayload.to")
    return Destination(mutation_id=mutation.id, address=address, status=payload.status, keep_query=payload.keep_query)


def target_of(url: object, path: str) -> str:
    """Path and query of a visit: those of its `url` where that is known, else the path alone."""
    if not isinstance(url, str):
        return path
    _, scheme, rest = url.partition("://")
    _, slash, target = rest.partition("/")
    query = (slash + target if scheme else url).partition("#")[0].partition("?")
    return path + query[1] + query[2]


def circles(redirects: Sequence[RedirectMutation]) -> Iterator[tuple[str, ...]]:
    """Ids of redirects between fixed pages that lead round in a circle, each circle once, beginning with its first."""
    places = {_place(one): one for one in reversed(redirects)}
    known: set[str] = set()
    for first in redirects:
        chain: list[str] = []
        at: RedirectMutation | None = first
        while at is not None and at.id not in known:
            if at.id in chain:
                yield tuple(chain[chain.index(at.id) :])
                break
            chain.append(at.id)
            at = _next(at, places)
        known.update(chain)


def _place(redirect: RedirectMutation) -> tuple[str, str]:
    return redirect.site.lower(), redirect.page_slug.rstrip("/") or "/"


def _next(redirect: RedirectMutation, places: Mapping[tuple[str, str], RedirectMutation]) -> RedirectMutation | None:
    """The redirect of the page that a redirect leads to; one for any site counts where the site has none of its own.

    Not itself: where it leads, it does not apply.
    """
    address = read_address(redirect.mutation_payload.to)
    if isinstance(address, str):
        return None
    path = address.path.rstrip("/") or "/"
    found = places.get((address.host or redirect.site.lower(), path)) or places.get(("*", path))
    return None if found is redirect else found
