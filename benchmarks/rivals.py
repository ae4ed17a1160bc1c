"""Operations as other libraries carry them out: selectolax, which writes the page anew, and lol-html, which streams.

Counterpart: `rewrite`, which measures them beside `rules.html`. They do what their users do: no proof, no look at whether
content stays where it is put, and selectolax changes bytes that nobody asked it to.
Never: a part of the product. python-lolhtml is no dependency: `python -m pip install python-lolhtml`.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from selectolax.lexbor import LexborHTMLParser, LexborNode

from rules import operations
from rules.html.content import escape_text
from rules.operations import Content, Operation

has_lolhtml = find_spec("lolhtml") is not None
if has_lolhtml:
    import lolhtml


def by_selectolax(page: bytes, asked: Sequence[Operation]) -> bytes:
    """Parse, change the tree, serialise."""
    tree = LexborHTMLParser(page)
    for operation in asked:
        for node in tree.css(operation.target.selector or ""):
            _on_node(operation, node)
    return (tree.html or "").encode("utf-8", "replace")


def _on_node(operation: Operation, node: LexborNode) -> None:
    match operation:
        case operations.SetAttribute(name=name, value=value):
            node.attrs[name] = value
        case operations.AddClass(names=names):
            node.attrs["class"] = " ".join([node.attributes.get("class") or "", *names]).strip()
        case operations.SetText(content=content) | operations.SetInnerContent(content=content):
            node.inner_html = _markup(content)
        case operations.Append(content=content):
            node.insert_child(_node(content))
        case operations.Prepend(content=content):
            if node.child is not None:
                node.child.insert_before(_node(content))
        case operations.Before(content=content):
            node.insert_before(_node(content))
        case operations.After(content=content):
            node.insert_after(_node(content))
        case operations.Remove():
            node.decompose()
        case _:
            raise NotImplementedError(type(operation).__name__)


def _node(content: Content) -> LexborNode:
    fragment = LexborHTMLParser(_markup(content))
    for parent in (fragment.head, fragment.body):
        if parent is not None and parent.child is not None:
            return parent.child
    raise ValueError("content without a node")


def _markup(content: Content) -> str:
    return content.html if content.html is not None else escape_text(content.text or "")


class _Handler:
    """What lol-html calls for each element that a selector matches."""

    def __init__(self, change: "Callable[[lolhtml.Element], None]") -> None:
        self.element = change


def by_lolhtml(page: bytes, asked: Sequence[Operation]) -> bytes:
    """One pass over the bytes; its selectors know no siblings and no `:has`, and the ten operations need neither."""
    written = bytearray()
    rewriter = lolhtml.HTMLRewriter(written.extend)
    for operation in asked:
        rewriter.on(operation.target.selector or "", _Handler(_on_element(operation)))
    rewriter.write(page)
    rewriter.end()
    return bytes(written)


def _on_element(operation: Operation) -> "Callable[[lolhtml.Element], None]":
    as_html = lolhtml.ContentType.HTML
    match operation:
        case operations.SetAttribute(name=name, value=value):
            return lambda element: element.set_attribute(name, value)
        case operations.AddClass(names=names):
            return lambda element: element.set_attribute(
                "class", " ".join([element.get_attribute("class") or "", *names]).strip()
            )
        case operations.SetText(content=content) | operations.SetInnerContent(content=content):
            return lambda element: element.set_inner_content(_markup(content), as_html)
        case operations.Append(content=content):
            return lambda element: element.append(_markup(content), as_html)
        case operations.Prepend(content=content):
            return lambda element: element.prepend(_markup(content), as_html)
        case operations.Before(content=content):
            return lambda element: element.before(_markup(content), as_html)
        case operations.After(content=content):
            return lambda element: element.after(_markup(content), as_html)
        case operations.Remove():
            return lambda element: element.remove()
        case _:
            raise NotImplementedError(type(operation).__name__)
