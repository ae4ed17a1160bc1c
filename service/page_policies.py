"""Policies in `<meta>` that were told of the engine's own style block: an expected change, and how far it may go.

Counterpart: `rules.html.policy` makes the change; `service.second_opinion` asks whether it was this and no more.
Never: a change of any directive but those about styles, or another source than the block's hash.
"""

import re
from base64 import b64encode
from hashlib import sha256

from service.page_trees import Branch

_STYLES = ("style-src-elem", "style-src")
_NONE = "'none'"
_NONCE = re.compile(r"'nonce-([^']+)'", re.IGNORECASE)


def policies(page: Branch) -> list[Branch]:
    """The `<meta>` elements of a page that hold a policy, in tree order."""
    named = (element for element in page.walk() if element.tag == "meta")
    return [one for one in named if one.attributes.get("http-equiv", "").strip().lower() == "content-security-policy"]


def nonces(page: Branch) -> set[str]:
    """Nonces that policies in the page name."""
    return {nonce for one in policies(page) for nonce in _NONCE.findall(one.attributes.get("content", ""))}


def expect_permission(expected: Branch, found: Branch, sheet: str) -> None:
    """Where a policy was changed to permit a style block of this text, and not otherwise, expect it as it was found."""
    permitted = f"'sha256-{b64encode(sha256(sheet.encode()).digest()).decode()}'"
    for before, after in zip(policies(expected), policies(found), strict=False):
        old, new = before.attributes.get("content", ""), after.attributes.get("content", "")
        if old != new and _only_permits(_directives(old), _directives(new), permitted):
            before.attributes["content"] = new


def _only_permits(old: dict[str, list[str]], new: dict[str, list[str]], permitted: str) -> bool:
    for name in old.keys() | new.keys():
        had, has = old.get(name), new.get(name)
        if had == has:
            continue
        if name not in _STYLES or has is None:
            return False
        base = had if had is not None else old.get("default-src")
        if base is None or has != [*(word for word in base if word.lower() != _NONE), permitted]:
            return False
    return True


def _directives(policy: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in policy.split(";"):
        words = part.split()
        if words:
            found.setdefault(words[0].lower(), words[1:])
    return found
