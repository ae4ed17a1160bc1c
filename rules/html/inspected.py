"""What operations look at on a page beside its structure: names of attributes whose values can decide something.

Counterpart: `rules.html.skeleton` lets every other value differ from page to page. What is not understood here counts as
looking at everything: then each page is parsed.
Never: a page.
"""

import re
from collections.abc import Sequence

from rules import model
from rules.group import Group
from rules.model import Delivery
from rules.operations import targets_of

ALWAYS_INSPECTED = frozenset({"id", "class", "type", "http-equiv", "charset", "encoding", "shadowrootmode"})
"""Attributes whose values HTML's parser goes by, or that selectors name by a sign of their own (`#`, `.`)."""

_STRUCTURAL = frozenset(
    "first-child last-child only-child nth-child nth-last-child first-of-type last-of-type only-of-type nth-of-type "
    "nth-last-of-type root empty not is where has".split()
)
"""Pseudo-classes that look at nothing but where elements stand."""

_ESCAPED_SIGN = re.compile(r"\\[^0-9a-fA-F\n\r\f]")
_PSEUDO = re.compile(r":+([A-Za-z-]*)")
_ATTRIBUTE = re.compile(r"\[\s*(?:[A-Za-z-]*\|)?([A-Za-z_][\w.-]*)(?=\s*(?:[\]=~^$*]|\|=))", re.ASCII)
"""A whole name as pages write it: one with an escape, or that is not ASCII, looks otherwise in the tree."""

_NAMED: dict[type, tuple[str, ...]] = {
    model.Before: (),
    model.After: (),
    model.Prepend: (),
    model.Append: (),
    model.SetInnerContent: (),
    model.SetText: (),
    model.Replace: (),
    model.Remove: (),
    model.RemoveAndKeepContent: (),
    model.AddClass: ("class",),
    model.RemoveClass: ("class",),
    model.SetStyle: ("style",),
    model.SetParameters: ("href",),
    model.HideByStyle: (),
    model.MoveBefore: (),
    model.MoveAfter: (),
    model.MovePrepend: (),
    model.MoveAppend: (),
    model.ReorderChildren: (),
    model.SetTokens: (),
    model.OrderByStyle: (),
}
"""Verb -> the attributes that it reads or writes; a verb that is in neither table looks at everything."""


def attributes_inspected(groups: Sequence[Group]) -> frozenset[str] | None:
    """Names, lower case, of all attributes whose values may matter to these operations; None: any may."""
    names = set(ALWAYS_INSPECTED)
    for group in groups:
        if group.delivery is not Delivery.EDGE:
            return None  # frameworks are looked for by many signs, and each page's script may carry a nonce of its own
        for operation in group.operations:
            if isinstance(operation, model.SetAttribute | model.RemoveAttribute):
                names.add(operation.name.lower())
            elif type(operation) in _NAMED:
                names.update(_NAMED[type(operation)])
            else:
                return None
            for _, target in targets_of(operation):
                read = _attributes_of(target.selector or "")
                if read is None:
                    return None
                names |= read
    return frozenset(names)


def _attributes_of(selector: str) -> frozenset[str] | None:
    """The attributes that a selector looks at; None where something in it is not understood."""
    plain = _ESCAPED_SIGN.sub("\0", selector)
    if "\\" in plain or any(name.lower() not in _STRUCTURAL for name in _PSEUDO.findall(plain)):
        return None
    names = _ATTRIBUTE.findall(plain)
    return frozenset(name.lower() for name in names) if len(names) == plain.count("[") else None
