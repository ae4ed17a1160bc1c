"""What moves make of a small tree: the part of the judge that says where elements stand.

Counterpart: `tests.trees` has the tree and all other verbs; `rules.html.moves` is judged. Never: a look at source offsets.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from rules import model
from tests.trees import Branch, Leaf, carry_out, nodes_of

Resolve = Callable[[model.Target], list[Branch]]
Found = Sequence[tuple[model.Operation, Branch]]

MOVES = model.MoveBefore | model.MoveAfter | model.MovePrepend | model.MoveAppend
WHITE_SPACE = " \t\n\f\r"


class Moving:
    """One page in which elements are moved. Each that is named has a company, which takes along what is put beside it."""

    def __init__(self, found: Found, resolve: Resolve) -> None:
        self.resolve = resolve
        self.children = {id(element): element.elements() for _, element in found}
        """What the page had in the elements named, before anything moved."""
        self.slots: dict[int, Leaf] = {}
        self.spaces: dict[int, str] = {}
        self.settled: set[int] = set()
        self.ordered: set[int] = set()
        self.gone: list[Branch] = []
        self.above: dict[int, list[Branch]] = {}
        self.companies: dict[int, Branch] = {}
        named = {id(one): one for operation, element in found for one in self._named(operation, element)}
        for one in named.values():
            self.above[id(one)] = [one, *_ancestors(one)]
        ordered = [element for operation, element in found if isinstance(operation, model.ReorderChildren)]
        for child in {id(child): child for one in ordered for child in self.children[id(one)]}.values():
            self._make_slot(child)
        for one in named.values():
            self._accompany(one)

    def _named(self, operation: model.Operation, element: Branch) -> Iterator[Branch]:
        if isinstance(operation, MOVES):
            yield element
            yield self.resolve(operation.anchor)[0]
        elif isinstance(operation, model.ReorderChildren):
            yield from self.children[id(element)]
            for target in operation.order:
                yield from self.resolve(target)

    def _make_slot(self, child: Branch) -> None:
        parent, index = _place(child)
        ahead = parent.children[index - 1] if index else None
        text = ahead.data if isinstance(ahead, Leaf) and ahead.kind == "text" else ""
        self.spaces[id(child)] = text[len(text.rstrip(WHITE_SPACE)) :]
        self.slots[id(child)] = Leaf("text", "")
        parent.add(self.slots[id(child)], at=index)

    def _accompany(self, element: Branch) -> None:
        parent, index = _place(element)
        company = Branch("#company")
        del parent.children[index]
        parent.add(company, at=index)
        company.add(element)
        self.companies[id(element)] = company

    def is_free(self, element: Branch) -> bool:
        return id(element) not in self.settled and not any(
            above is gone for above in self.above[id(element)] for gone in self.gone
        )

    def put(self, element: Branch, beside: "Branch | Leaf", *, shift: int, space: str = "") -> None:
        """An element with its company beside something, behind it with `shift` 1."""
        company = self.companies[id(element)]
        parent, index = _place(company)
        del parent.children[index]
        parent, index = _place(beside)
        parent.add(Leaf("text", space), company, at=index + shift)
        self.settled.add(id(element))

    def put_inside(self, element: Branch, anchor: Branch, *, first: bool) -> None:
        company = self.companies[id(element)]
        parent, index = _place(company)
        del parent.children[index]
        anchor.add(company, at=0 if first else None)
        self.settled.add(id(element))

    def move(self, operation: model.Operation, elements: list[Branch]) -> None:
        assert isinstance(operation, MOVES)
        anchor = self.resolve(operation.anchor)[0]
        elements = [element for element in elements if id(element) not in self.settled and element is not anchor]
        backwards = isinstance(operation, model.MoveAfter | model.MovePrepend)
        for element in reversed(elements) if backwards else elements:
            match operation:
                case model.MoveBefore():
                    self.put(element, anchor, shift=0)
                case model.MoveAfter():
                    self.put(element, anchor, shift=1)
                case _:
                    self.put_inside(element, anchor, first=backwards)

    def reorder(self, operation: model.ReorderChildren, container: Branch) -> None:
        if id(container) in self.ordered:
            return
        self.ordered.add(id(container))
        leaving = [element for target in operation.leaving for element in self.resolve(target)]
        present = [c for c in self.children[id(container)] if self.is_free(c) and not any(c is one for one in leaving)]
        wanted: list[Branch] = []
        for target in operation.order:
            for element in self.resolve(target):
                allowed = self.is_free(element) if operation.adopt else any(element is one for one in present)
                if allowed and not any(element is one for one in wanted):
                    wanted.append(element)
        wanted += [child for child in present if not any(child is one for one in wanted)]
        space = self.spaces[id(present[-1])] if present else ""
        for index, element in enumerate(wanted):
            if not present:
                self.put_inside(element, container, first=False)
                continue
            slot = self.slots[id(present[min(index, len(present) - 1)])]
            self.put(element, slot, shift=0, space=space if index >= len(present) else "")

    def leave(self) -> None:
        """Companies and slots part."""
        for company in self.companies.values():
            parent, index = _place(company)
            del parent.children[index]
            parent.add(*company.children, at=index)


def carry_out_moves(found: Found, resolve: Resolve) -> None:
    """All moves among operations, in their order; the others only say what is gone by then.

    `found`: operations with one element each, highest precedence first; `resolve`: the elements of any other target.
    """
    moving = Moving(found, resolve)
    for _, several in groupby(found, key=lambda one: id(one[0])):
        block = list(several)
        operation = block[0][0]
        if isinstance(operation, MOVES):
            moving.move(operation, [element for _, element in block])
        for _, element in block:
            if isinstance(operation, model.ReorderChildren):
                moving.reorder(operation, element)
            elif isinstance(operation, model.Remove | model.Replace):
                moving.gone.append(element)
            elif isinstance(operation, model.SetInnerContent | model.SetText):
                moving.gone += moving.children[id(element)]
    moving.leave()


def _ancestors(node: Branch) -> Iterator[Branch]:
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


def _place(node: "Branch | Leaf") -> tuple[Branch, int]:
    assert node.parent is not None
    return node.parent, next(index for index, child in enumerate(node.parent.children) if child is node)


# -- several verbs

INSERTIONS = model.Before | model.After | model.Prepend | model.Append
PLACED = MOVES | model.ReorderChildren


def carry_out_all(operations: Sequence[model.Operation], page: Branch) -> None:
    """Several verbs on elements named by id: first moves, then what is inserted, each in order; then what replaces or
    removes, tags last.

    A replacement of an element's content takes what the page had inside, and leaves what was moved or inserted there.
    """
    elements = {element.attributes.get("id"): element for element in page.walk()}

    def resolve(target: model.Target) -> list[Branch]:
        found = elements.get((target.selector or "").removeprefix("#"))
        return [] if found is None else [found]

    found = [(one, resolve(one.target)[0]) for one in operations]
    held: dict[int, list[Branch | Leaf]] = {}
    for operation, element in found:
        if isinstance(operation, model.SetInnerContent | model.SetText):
            if not element.children:
                element.add(Leaf("text", ""))
            held[id(element)] = list(element.children)
    carry_out_moves(found, resolve)
    for operation, element in found:
        if isinstance(operation, INSERTIONS):
            carry_out(operation, element)
    for operation, element in found:
        if isinstance(operation, model.SetInnerContent | model.SetText):
            taken = held[id(element)]
            at = next(index for index, child in enumerate(element.children) if child is taken[0])
            kept = [child for child in element.children if not any(child is one for one in taken)]
            element.children[:] = kept
            element.add(*nodes_of(operation.content), at=at)
        elif not isinstance(operation, INSERTIONS | PLACED | model.RemoveAndKeepContent):
            carry_out(operation, element)
    for operation, element in found:
        if isinstance(operation, model.RemoveAndKeepContent):
            carry_out(operation, element)
