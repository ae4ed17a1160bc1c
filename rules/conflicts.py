"""Which of two mutations comes first: layer, then priority, then version, then id. A total order.

Counterpart: `rules.html` applies operations in this order and reports what is shadowed by an earlier one, since which
targets overlap is known only on the page.
"""

from rules.model import Layer, LayoutMutation

_RANK = {Layer.GLOBAL: 0, Layer.PAGE: 1, Layer.MODULE: 2, Layer.MICRO: 3}


def layer_of(mutation: LayoutMutation) -> Layer:
    """The layer a mutation says, else derived: a module's, a page's (or layout's), or global. `micro` is only said."""
    if mutation.layer is not None:
        return mutation.layer
    if mutation.module_id is not None:
        return Layer.MODULE
    return Layer.PAGE if mutation.page_slug != "*" or mutation.layout_id != "*" else Layer.GLOBAL


def precedence(mutation: LayoutMutation) -> tuple[int, int, int, str]:
    """Sort key, highest precedence first: micro before global, higher priority, newer version, smaller id."""
    return -_RANK[layer_of(mutation)], -mutation.priority, -mutation.version, mutation.id
