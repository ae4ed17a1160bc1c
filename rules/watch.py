"""Whose work is being done while a page is rewritten, for those who measure it or fear for it.

Counterpart: `rules.html.rewrite` says it; `sidecar.rewriting` listens. Never: a clock; who wants one brings it.
"""

from collections.abc import Callable

Watch = Callable[[str], None]
"""Hears whose work begins: the id of a mutation, `NOBODYS` before a parse, `EVERYBODYS` for what is done with all edits."""
NOBODYS = ""
EVERYBODYS = "*"
