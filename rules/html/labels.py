"""Content that can be found again on the page: `data-layout-mutation="<mutation>/<operation>"` on each of its elements.

A framework that hydrates may throw away what the edge inserted. The browser script puts it back, and must know whether it
is still there; so what `guarded` and `client` mutations insert carries a label. Loose text gets a `<span>`.
Counterpart: `rules.html.rewrite` labels what it does and hands over; `sidecar/runtime/runtime.js` looks for it.
Never: a label in what only replaces text, which the script compares instead.
"""

from functools import lru_cache

import msgspec
import turbohtml
from turbohtml import Element, Text

from rules import model
from rules.group import Group
from rules.html.content import markup_of
from rules.model import Content, Delivery, Operation

ATTRIBUTE = "data-layout-mutation"


def as_carried_out(group: Group) -> Group:
    """A group as it is carried out and told: what the browser script may have to find again has its label."""
    if group.delivery is Delivery.EDGE:
        return group
    operations = tuple(labelled(one, f"{group.mutation_id}/{index}") for index, one in enumerate(group.operations))
    return msgspec.structs.replace(group, operations=operations)


def labelled(operation: Operation, label: str) -> Operation:
    """The operation with the label in what it inserts; itself if it inserts nothing."""
    content = getattr(operation, "content", None)
    if not isinstance(content, Content):
        return operation
    if content.text is not None and isinstance(operation, model.SetText | model.SetInnerContent):
        return operation
    return msgspec.structs.replace(operation, content=Content(html=_labelled(markup_of(content), label)))


@lru_cache(maxsize=1024)
def _labelled(html: str, label: str) -> str:
    """Balanced `html` with the label on each element that stands in nothing else, or on one round all of it."""
    attribute = f' {ATTRIBUTE}="{label}"'
    nodes = turbohtml.parse_fragment(html, "template", source_locations=True, scripting=True).children
    starts = [
        location.start_tag.start_offset + 1 + len(node.tag)
        for node in nodes
        if isinstance(node, Element) and (location := node.source_location) is not None
    ]
    if not starts or any(isinstance(node, Text) and node.data.strip() for node in nodes):
        return f"<span{attribute}>{html}</span>"
    pieces, at = [], 0
    for start in starts:
        pieces += [html[at:start], attribute]
        at = start
    return "".join([*pieces, html[at:]])
