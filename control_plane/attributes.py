"""Attributes that the rules declare, the saved groups that conditions name, and toggles.

All attributes and all toggles that are on go to visitors, so that saving one takes the right to publish; a saved group does
where rules that visitors get name it.
Counterpart: `rules.attributes` and `rules.model` have their fields, `company.needed` says what travels. Never: a visit.
"""

from typing import ClassVar

from control_plane.documents import Documents
from control_plane.store import Kind
from rules.model import DeclaredAttribute, SavedGroup, Toggle


class Attributes(Documents[DeclaredAttribute]):
    """The declared attributes of this installation: journeys, quizzes, counters and those that follow from others."""

    kind: ClassVar[Kind] = Kind.ATTRIBUTE


class SavedGroups(Documents[SavedGroup]):
    """The saved groups of this installation."""

    kind: ClassVar[Kind] = Kind.SAVED_GROUP


class Toggles(Documents[Toggle]):
    """The toggles of this installation."""

    kind: ClassVar[Kind] = Kind.TOGGLE
