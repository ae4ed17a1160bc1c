"""A page and operations -> the page with only those bytes changed.

The page is parsed to find things; edits are spliced into the original bytes. Nothing is ever re-serialised.
Counterpart: `rules.decision` says which groups of operations apply.
"""

from rules.html.edits import Edit
from rules.html.island import Script
from rules.html.rewrite import PassedThrough, Rewritten, Touched, apply_groups, rewrite

__all__ = ["Edit", "PassedThrough", "Rewritten", "Script", "Touched", "apply_groups", "rewrite"]
