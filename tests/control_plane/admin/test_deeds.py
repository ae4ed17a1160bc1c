"""What was done reads as a sentence, whatever it was done to."""

from datetime import UTC, datetime

import pytest

from control_plane.admin.addresses import TOGGLES, mutation
from control_plane.admin.deeds import Deed, deed_of
from control_plane.audit import AuditEntry


def entry(action: str, kind: str, subject: str) -> AuditEntry:
    at = datetime(2026, 11, 27, tzinfo=UTC)
    return AuditEntry(
        number=1,
        at=at,
        actor="ada",
        role="admin",
        action=action,
        kind=kind,
        subject=subject,
        reason="",
        version_before=None,
        version_after=None,
        table_version=None,
    )


@pytest.mark.parametrize(
    ("action", "kind", "deed"),
    [
        ("updated", "mutation", Deed("updated the mutation", "x", mutation("x"))),
        ("deleted", "saved_group", Deed("deleted the saved group", "x", "")),
        ("undone", "toggle", Deed("took back what was done to the toggle", "x", TOGGLES)),
        ("rolled_back", "module", Deed("rolled back the module", "x", "")),
        ("published", "table", Deed("published table", "x", "")),
        ("signed_in", "session", Deed("signed in", "", "")),
        ("of_a_newer_program", "module", Deed("of a newer program the module", "x", "")),
    ],
)
def test_each_is_said_in_words(action: str, kind: str, deed: Deed) -> None:
    assert deed_of(entry(action, kind, "x")) == deed
