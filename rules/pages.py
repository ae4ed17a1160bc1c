"""Which site and which pages a rule belongs to: `*.example` and `/offers/*` compiled to predicates.

Counterpart: `rules.page_index` finds the rows of an address without asking each of them.
"""

from collections.abc import Callable
from functools import lru_cache

import re2

from rules.errors import RulesError

Matcher = Callable[[str], bool]


ANYWHERE = "*"
"""Any site, or any page."""


def normalised_site(pattern: str, path: str) -> str:
    """A site's pattern as hosts are compared with it, in lower case; raises RulesError for what is none."""
    host = pattern.lower().rstrip(".")
    if host.startswith("*."):
        if "*" not in host[1:]:
            return host
    elif not set(host) & set("*/: \t"):
        return host
    raise RulesError("a site is a host such as shop.example, *.example for its subdomains, or *", path)


def compile_site(pattern: str, path: str) -> Matcher:
    """Host predicate for `shop.example`, `*.example` (any subdomain) or `*`; raises RulesError for anything else."""
    return _always if pattern == ANYWHERE else _site_matcher(normalised_site(pattern, path))


@lru_cache(maxsize=1024)
def _site_matcher(name: str) -> Matcher:
    if name.startswith("*."):
        suffix = name[1:]
        return lambda site: site.endswith(suffix)
    return lambda site: site == name


def compile_page(pattern: str, path: str) -> Matcher:
    """Path predicate; `*` is one segment or a part of one, `**` is any number of segments; a trailing slash is ignored.

    `*` alone is any page. Raises RulesError where the pattern does not begin with a slash.
    """
    return _always if pattern == ANYWHERE else _page_matcher(normalised_page(pattern, path))


def normalised_page(pattern: str, path: str) -> str:
    """A page's pattern without slashes at its end; raises RulesError for what is none."""
    if not pattern.startswith("/") or "?" in pattern or "#" in pattern:
        raise RulesError("a page is a path pattern such as /, /offers/*, /blog/**, or * for any page", path)
    return without_slash(pattern)


@lru_cache(maxsize=4096)
def _page_matcher(bare: str) -> Matcher:
    """Shared by the rules of a page: a regular expression takes kilobytes."""
    if "*" not in bare:
        return lambda page: without_slash(page) == bare
    compiled = re2.compile("(?s)^" + "".join(map(_expression, bare[1:].split("/"))) + "$")
    return lambda page: is_text(page) and compiled.match(without_slash(page)) is not None


def is_text(page: str) -> bool:
    """Whether a path is text, and so one that a pattern with `*` could mean."""
    if page.isascii():
        return True
    try:
        page.encode()
    except UnicodeError:
        return False
    return True


def without_slash(page: str) -> str:
    """A path as patterns are compared with it: no slash at its end, `/` for the first page."""
    return page.rstrip("/") or "/"


def _expression(segment: str) -> str:
    """One segment of a pattern, with the slash before it."""
    if segment == "**":
        return "(?:/[^/]*)*"
    if segment == "*":
        return "/[^/]+"
    escaped: str = re2.escape(segment)
    return "/" + escaped.replace(r"\*\*", ".*").replace(r"\*", "[^/]*")


def _always(_: str) -> bool:
    return True
