"""A store works out what a mutation is from its bytes."""

import msgspec

from control_plane.store import Kind
from control_plane.store.identity import identity_in
from rules.identity import identity_of
from rules.model import decode_mutation
from tests.control_plane.plane import headline


def test_it_is_that_of_the_rules_and_of_mutations_alone() -> None:
    content = msgspec.json.encode(headline(id="a"))
    assert identity_in(Kind.MUTATION, content) == identity_of(decode_mutation(content))
    assert identity_in(Kind.SEGMENT, content) is None


def test_what_cannot_be_read_has_none() -> None:
    assert identity_in(Kind.MUTATION, b'{"id":"a"}') is None
    assert identity_in(Kind.MUTATION, b"\xff") is None
