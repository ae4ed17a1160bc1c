"""Which rules can match a visit's address, found without looking at the others.

Sites by name, pages by their segments: a tree with an edge for each literal segment and one for `*`. A pattern that goes
on after `**`, or has a `*` inside a segment, waits at the node where that begins, and is asked for each path that gets there.
Counterpart: `rules.pages` says what a pattern means, and what is found here is exactly what its predicates would accept;
`rules.table` numbers its rows by precedence. Never: an exception for any address; a cost that grows with what an address
does not reach.
"""

from collections.abc import Iterable, Sequence

from rules.pages import ANYWHERE, Matcher, compile_page, is_text, normalised_page, normalised_site, without_slash


class _Node:
    """A place in the tree of pages."""

    __slots__ = ("below", "ends", "literals", "star")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.star: _Node | None = None
        self.ends: list[int] = []
        """Rows of the pages that end here."""
        self.below: dict[str, tuple[Matcher | None, list[int]]] = {}
        """Pattern -> who is to be asked about a path that gets here, None for nobody; and its rows."""


class _Pages:
    """The rows of one site by their pages."""

    def __init__(self) -> None:
        self._anywhere: list[int] = []
        self._root = _Node()
        self._depth = 0

    def add(self, pattern: str, row: int) -> None:
        """Rows come in the order of their numbers. Raises RulesError for what is no pattern."""
        if pattern == ANYWHERE:
            self._anywhere.append(row)
            return
        node, bare = self._root, normalised_page(pattern, "$.pageSlug")
        segments = bare[1:].split("/")
        for number, segment in enumerate(segments):
            if segment == "*":
                if node.star is None:
                    node.star = _Node()
                node = node.star
            elif "*" in segment:
                if bare not in node.below:
                    is_rest = segment == "**" and number == len(segments) - 1
                    node.below[bare] = (None if is_rest else compile_page(bare, "$.pageSlug"), [])
                node.below[bare][1].append(row)
                return
            else:
                node = node.literals.setdefault(segment, _Node())
            self._depth = max(self._depth, number + 1)
        node.ends.append(row)

    def find(self, path: str, page: str, found: list[int]) -> None:
        """Add to `found` the rows for a path; `page` is the same without slashes at its end."""
        found += self._anywhere
        if not page.startswith("/"):
            return
        wild = is_text(page)
        nodes = [self._root]
        for segment in page[1:].split("/", self._depth):
            reached: list[_Node] = []
            for node in nodes:
                if wild and node.below:
                    _ask(node, path, found)
                if segment in node.literals:
                    reached.append(node.literals[segment])
                if wild and segment and node.star is not None:
                    reached.append(node.star)
            nodes = reached
            if not nodes:
                return
        for node in nodes:
            found += node.ends
            if wild and node.below:
                _ask(node, path, found)


def _ask(node: _Node, path: str, found: list[int]) -> None:
    for matcher, rows in node.below.values():
        if matcher is None or matcher(path):
            found += rows


class PageIndex:
    """Rows by site and page. Raises RulesError for a pattern that is none."""

    def __init__(self, addresses: Iterable[tuple[str, str]]) -> None:
        """`addresses`: the site and the page of each row, in the rows' order."""
        self._everywhere = _Pages()
        self._hosts: dict[str, _Pages] = {}
        self._suffixes: dict[str, _Pages] = {}
        """By what a host ends with, the dot before it included."""
        for row, (site, page) in enumerate(addresses):
            self._of_site(site).add(page, row)
        self._dots = max((suffix.count(".") for suffix in self._suffixes), default=0)

    def find(self, site: str, path: str) -> Sequence[int]:
        """Numbers of the rows that match, smallest first."""
        found: list[int] = []
        page = without_slash(path)
        self._everywhere.find(path, page, found)
        if (pages := self._hosts.get(site)) is not None:
            pages.find(path, page, found)
        at = len(site)
        for _ in range(self._dots):
            at = site.rfind(".", 0, at)
            if at < 0:
                break
            if (pages := self._suffixes.get(site[at:])) is not None:
                pages.find(path, page, found)
        found.sort()
        return found

    def _of_site(self, site: str) -> _Pages:
        if site == ANYWHERE:
            return self._everywhere
        name, sites = normalised_site(site, "$.site"), self._hosts
        if name.startswith("*."):
            name, sites = name[1:], self._suffixes
        if name not in sites:
            sites[name] = _Pages()
        return sites[name]
