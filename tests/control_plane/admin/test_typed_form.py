"""One form: what was typed is what it stands for, and what it has no field for stays as it was saved."""

import msgspec
from multidict import MultiDict

from control_plane.admin.typed_form import FIRST_TYPE, TypedForm
from rules.model import HideMutation, Status, decode_mutation


def hidden() -> HideMutation:
    whole = {
        "id": "m-1",
        "mutationType": "hide",
        "version": 7,
        "status": "active",
        "isActive": True,
        "mutationPayload": {"target": {"selector": ".ad"}},
    }
    mutation = decode_mutation(msgspec.json.encode(whole))
    assert isinstance(mutation, HideMutation)
    return mutation


def test_a_saved_mutation_goes_through_its_form_unchanged() -> None:
    saved = hidden()
    form = TypedForm.of(saved)
    assert form.version == 7
    assert form.mutation(saved) == saved


def test_a_new_one_is_a_draft_that_is_off() -> None:
    form = TypedForm.empty("m-2", "hide")
    form.typed["mutationPayload.target.selector"] = ".ad"
    mutation = form.mutation()
    assert mutation is not None
    assert (mutation.status, mutation.is_active) == (Status.DRAFT, False)


def test_a_form_that_is_wrong_stands_for_nothing_and_says_where() -> None:
    form = TypedForm.empty("m-2", "hide")
    assert form.mutation() is None
    assert list(form.problems) == ["mutationPayload.target.selector"]


def test_nonsense_that_is_posted_is_a_form_all_the_same() -> None:
    posted = MultiDict({"mutationType": "explode", "version": "-1", "reason": "r"})
    form = TypedForm.posted(posted, "m-3")
    assert (form.mutation_type, form.version, form.reason) == (FIRST_TYPE, None, "r")


def test_a_changed_type_brings_its_defaults() -> None:
    posted = MultiDict({"mutationType": "insert", "shownType": "replace", "name": ""})
    form = TypedForm.posted(posted, "m-3")
    assert form.typed["mutationPayload.position"] == "before"
    assert form.typed["name"] == ""
