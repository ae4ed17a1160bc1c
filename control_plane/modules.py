"""Modules, the parts of pages that mutations name, and segments, the visits that they are for.

Counterpart: `rules.compiler` resolves both when a table is made. Never: a look at a page.
"""

from typing import ClassVar

from control_plane.documents import Documents
from control_plane.store import Kind
from rules.model import Module, Segment


class Modules(Documents[Module]):
    """The registered modules of this installation."""

    kind: ClassVar[Kind] = Kind.MODULE


class Segments(Documents[Segment]):
    """The segments of this installation."""

    kind: ClassVar[Kind] = Kind.SEGMENT
