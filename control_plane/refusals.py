"""What the services refuse to do, as a closed list.

Counterpart: `rules.errors.RulesError` is what an author must mend in a document; `api/problems.py` gives each refusal
its status code, and the admin pages show `detail`. Never: an internal fault; those are not refusals.
"""

from enum import StrEnum


class Refusal(StrEnum):
    """Why a request was refused. The value is the last part of a problem document's `type`."""

    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    EQUAL_EXISTS = "equal_exists"
    """It would become equal to another mutation; there is one of each."""
    VERSION_CONFLICT = "version_conflict"
    """Somebody else saved a version in between."""
    ARCHIVED = "archived"
    """An archived mutation is not switched on; roll it back or save it with another status first."""
    IN_USE = "in_use"
    """Other documents need this one."""
    NOT_DELETED = "not_deleted"
    """It is there, so that nothing can be restored."""
    NOTHING_TO_UNDO = "nothing_to_undo"
    """The entry changed no document."""
    CHANGED_SINCE = "changed_since"
    """Later changes of the same documents stand in the way of an undo."""
    REASON_REQUIRED = "reason_required"
    MAY_NOT_PUBLISH = "may_not_publish"
    """It would change what visitors see, and the role may only write."""
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    """The key came before with another request."""
    BACKUP_FAILED = "backup_failed"
    """A place of backups can't be used, or a backup can't be made or read."""
    BAD_CURSOR = "bad_cursor"
    BAD_PARAMETER = "bad_parameter"
    PREVIEW_ADDRESS = "preview_address"
    """Not a page of a registered origin."""
    PREVIEW_UNREACHABLE = "preview_unreachable"
    PREVIEW_NOT_HTML = "preview_not_html"
    PREVIEW_TOO_LARGE = "preview_too_large"
    PREVIEW_TOO_SLOW = "preview_too_slow"
    PREVIEW_REDIRECT = "preview_redirect"
    """The origin sends the browser to another site."""


class Refused(Exception):  # noqa: N818 - a refusal is an answer and no fault
    """A request was refused. `detail` is a sentence for people: what is wrong and what to do."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal}: {detail}")
        self.refusal = refusal
        self.detail = detail
