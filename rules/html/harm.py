"""What content may not do: run scripts, or speak for the whole page.

An author who could, would walk past the site's own policy. What a piece of markup does depends on where it stands, since
HTML's parser reads `<title>` as text and, inside `<svg>`, as an element: so `rules.html.content` asks about the tree
that comes out, when the rule is written and again where it is to be written.
Never: a judgement by looking at markup as text.
"""

import re
from collections.abc import Iterable

from turbohtml import Element

FORBIDDEN_ELEMENTS = frozenset({"script", "base", "object", "embed", "applet", "frameset", "frame"})
_STRUCTURE = frozenset({"html", "head", "body"})
_DATA_TYPES = frozenset({"application/json", "application/ld+json"})
_SOURCES = ("src", "href", "xlink:href")
_ANIMATED = frozenset({"values", "from", "to", "by"})
"""Of an SVG animation, which can write an address into any element."""
_URL_ATTRIBUTES = _ANIMATED | {*"href src action formaction poster xlink:href data ping background".split()}
_TAKEN_IN = frozenset({"iframe", "use"})
"""Elements that make a document of an image: `<use>` copies an SVG with its scripts into the page itself, in browsers that
still take `data:` there."""
_SCRIPT_SCHEME = re.compile(r"(?:^|;)[\x00-\x20]*(?:javascript|vbscript)\s*:", re.IGNORECASE)
_DATA_SCHEME = re.compile(r"(?:^|;)[\x00-\x20]*data\s*:", re.IGNORECASE)
_DATA_IMAGE = re.compile(r"^[\x00-\x20]*data:image/[a-z0-9.+-]+[;,]", re.IGNORECASE)
_NOT_IN_ADDRESSES = str.maketrans("", "", "\t\n\r")
"""Browsers drop these anywhere in an address (URL standard, "basic URL parser")."""


def harm_of_name(name: str) -> str:
    """Why an attribute of this name may not be written; empty if it may."""
    lowered = name.lower()
    if lowered.startswith("on"):
        return f"the attribute `{name}` is not allowed: it runs a script"
    if lowered == "srcdoc":
        return "the attribute `srcdoc` is not allowed: it holds a page with scripts of its own"
    return ""


def harm_of_value(name: str, value: str, tag: str = "") -> str:
    """Why an attribute may not have this value, on an element `tag` if it is known; empty if it may."""
    if name.lower() not in _URL_ATTRIBUTES:
        return ""
    address = value.translate(_NOT_IN_ADDRESSES)
    if _SCRIPT_SCHEME.search(address):
        return f"a javascript: address in `{name}` is not allowed: it runs a script"
    is_image = tag not in _TAKEN_IN and name.lower() not in _ANIMATED and _DATA_IMAGE.match(address) is not None
    if _DATA_SCHEME.search(address) and not is_image:
        return f"a data: address in `{name}` is not allowed, but for an image: it holds a page with scripts of its own"
    return ""


def is_data_block(element: Element) -> bool:
    """Whether a script is none: data that its type keeps from running (HTML standard, "data block"), in SVG as in HTML."""
    kind = element.attrs.get("type")
    is_data = element.tag.lower() == "script" and isinstance(kind, str) and kind.lower() in _DATA_TYPES
    return is_data and not any(name in element.attrs for name in _SOURCES)


def harm_of(elements: Iterable[Element]) -> str:
    """Why these elements may not be written; empty if they may. The page's own `html`, `head` and `body` may be among
    them, and then are to have no attributes: those would be the content's."""
    for element in elements:
        tag = element.tag.lower()
        if tag in FORBIDDEN_ELEMENTS and not is_data_block(element):
            return f"<{element.tag}> is not allowed in content: it could run scripts past the site's policy"
        if tag == "meta" and "http-equiv" in element.attrs:
            return "<meta http-equiv> is not allowed in content: it speaks for the whole page"
        for name in element.attrs:
            value = element.attrs[name]
            text = value if isinstance(value, str) else " ".join(value or ())
            if tag in _STRUCTURE:
                return f"<{element.tag}> with attributes is not allowed in content: they would become the page's own"
            if harm := harm_of_name(name) or harm_of_value(name, text, tag):
                return harm
    return ""
