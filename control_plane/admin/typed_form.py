"""One form as a person filled it in: what was typed, what is wrong with it, and the mutation it stands for.

Counterpart: `mutation_form` shows and saves it, `preview` shows what it would do.
Never: a request of its own, and never less than was typed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from multidict import MultiMapping

from control_plane.admin.form_fields import FormField, fields_for, mutation_types
from control_plane.admin.form_values import Problems, Typed, defaults, mutation_json, problem_at, typed_from, typed_of
from control_plane.admin.history import as_json, type_of
from rules.errors import RulesError
from rules.model import LayoutMutation, Status, decode_mutation

FIRST_TYPE = "replace"
"""What most people come for: other words in an existing place."""


class TypedForm(msgspec.Struct, kw_only=True):
    """A form. `version` is the saved version that it began from; None for a mutation that doesn't exist yet."""

    id: str
    mutation_type: str
    fields: Sequence[FormField]
    typed: Typed
    reason: str = ""
    version: int | None = None
    problems: Problems = {}

    @classmethod
    def empty(cls, mutation_id: str, mutation_type: str) -> "TypedForm":
        """A new mutation's form."""
        fields = fields_for(mutation_type)
        return cls(id=mutation_id, mutation_type=mutation_type, fields=fields, typed=defaults(fields))

    @classmethod
    def of(cls, mutation: LayoutMutation) -> "TypedForm":
        """The form of a mutation that is saved."""
        kind = type_of(mutation)
        fields = fields_for(kind)
        typed = typed_of(as_json(mutation), fields)
        return cls(id=mutation.id, mutation_type=kind, fields=fields, typed=typed, version=mutation.version)

    @classmethod
    def posted(cls, posted: MultiMapping[Any], mutation_id: str) -> "TypedForm":
        """What a browser sent. Fields that a changed type brings with it begin at their defaults."""
        kind = str(posted.get("mutationType", ""))
        kind = kind if kind in mutation_types() else FIRST_TYPE
        fields = fields_for(kind)
        typed = typed_from(posted, fields)
        if posted.get("shownType", kind) != kind:
            for name, value in defaults(fields).items():
                if name not in posted:
                    typed[name] = value
        version = str(posted.get("version", ""))
        return cls(
            id=mutation_id,
            mutation_type=kind,
            fields=fields,
            typed=typed,
            reason=str(posted.get("reason", "")),
            version=int(version) if version.isdecimal() and version.isascii() and len(version) < 10 else None,
        )

    def mutation(self, saved: LayoutMutation | None = None) -> LayoutMutation | None:
        """The mutation that the form stands for; None when it has `problems`, which are then set.

        What the form has no field for comes from `saved`; a new one is a draft that is switched off.
        """
        found, self.problems = mutation_json(self.typed, self.fields)
        if self.problems:
            return None
        covered = {field.name.partition(".")[0] for field in self.fields}
        kept: Mapping[str, Any] = {"isActive": False, "status": Status.DRAFT.value} if saved is None else as_json(saved)
        whole = {name: value for name, value in kept.items() if name not in covered}
        whole |= {"id": self.id, "mutationType": self.mutation_type, **found}
        try:
            return decode_mutation(msgspec.json.encode(whole))
        except RulesError as error:
            self.refuse(error)
            return None

    def refuse(self, error: RulesError) -> None:
        """Put a refusal of the rules at its field."""
        self.problems = problem_at(error.path, error.problem, self.fields)
