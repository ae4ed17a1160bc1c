"""The closed list of reasons: why a page passed untouched, and why a mutation did not apply.

One vocabulary for the response header, the log field, the metric label and `--explain`.
"""

from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why. The value is what is shown; it never changes its meaning."""

    # a mutation of the page
    APPLIED = "applied"
    INACTIVE = "inactive"
    """isActive is false, or the status is neither active nor experimental."""
    OTHER_SITE = "other_site"
    OTHER_PAGE = "other_page"
    OTHER_LAYOUT = "other_layout"
    SCHEDULE = "schedule"
    """Outside the schedule's window."""
    TRIGGER = "trigger"
    CONDITIONS = "conditions"
    NOT_IN_EXPERIMENT = "not_in_experiment"
    """In no variation of its experiment; the detail begins with an `Exclusion`."""
    CONTROL = "control"
    """In the experiment, in a variation without operations."""
    SWITCHED_OFF = "switched_off"
    """By a module that it touches, by a toggle, or by the request; the detail says which. Of a page: by the request, or for
    everybody by the sidecar's file or a signal."""
    TARGET_NOT_FOUND = "target_not_found"
    TOO_MANY_MATCHES = "too_many_matches"
    SHADOWED = "shadowed"
    """A mutation of higher precedence edits the same part of the page incompatibly, or moves the same element."""
    AMBIGUOUS_SPAN = "ambiguous_span"
    """Where the element starts or ends in the source can't be told for certain (implied, misnested or moved by the parser)."""
    UNSAFE_TARGET = "unsafe_target"
    """What is written or moved can't stand safely where it would (for example HTML inside a script)."""
    LOOP = "loop"
    """A redirect to the address that is being visited."""
    NO_CHANGE = "no_change"
    """The page already is what the operation asks for."""
    DELIVERED = "delivered"
    """Handed to the browser script with the page, which carries it out at its time."""
    NOT_DELIVERED = "not_delivered"
    """The browser script can't come along: the page's policy forbids it, or no place for it is certain."""
    UNUSABLE = "unusable"
    """The table has passed its checks, and this rule can't be used all the same: a bug of ours, and the detail says where."""

    # a whole page
    NO_TABLE = "no_table"
    NO_RULES = "no_rules"
    """No mutation applies to this visit."""
    METHOD = "method"
    STATUS = "status"
    CONTENT_TYPE = "content_type"
    CONTENT_ENCODING = "content_encoding"
    NO_TRANSFORM = "no_transform"
    ATTACHMENT = "attachment"
    PARTIAL = "partial"
    """A fragment that a client library asked for (HX-Request, Turbo-Frame, …)."""
    CHARSET = "charset"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    OVER_BUDGET = "over_budget"
    """Parsing or rewriting took longer than its budget."""
    QUARANTINED = "quarantined"
    """This page killed or hung the rewriter before; or, of a mutation, it did harm on this sidecar and is skipped for a while."""
    ROLLOUT = "rollout"
    """Outside the share of visits that may be mutated."""
    SHADOW = "shadow"
    """The sidecar only tries its rules out: what would have become of the page is counted, and it is the origin's."""
    DECIDE_FAILED = "decide_failed"
    REWRITE_FAILED = "rewrite_failed"
    BROKEN_BODY = "broken_body"
    """The origin's body could not be decoded (for example broken gzip)."""
    NOTHING_MATCHED = "nothing_matched"
    """Mutations apply, but the page has none of their targets."""


class Outcome(Struct, frozen=True):
    """What became of one mutation, and why."""

    mutation_id: str
    reason: Reason
    detail: str = ""


class Exclusion(StrEnum):
    """Why a unit is in no variation of an experiment, in the order in which it is asked."""

    INACTIVE = "inactive"
    """The experiment is switched off: by itself, a toggle, or the request."""
    NO_UNIT = "no_unit"
    """The visit has a value neither for the experiment's `unit` nor for its `fallbackUnit`."""
    HOLDOUT = "holdout"
    """The unit is held out of all experiments that name the holdout."""
    BUCKET_VERSION = "bucket_version"
    """The visit remembers an assignment of a version below `minBucketVersion`."""
    NAMESPACE = "namespace"
    """The unit is in another part of the namespace."""
    CONDITIONS = "conditions"
    """The visit does not meet the experiment's own conditions."""
    PREREQUISITE = "prerequisite"
    """The visit is not in the variation of another experiment that this one requires."""
    RAMP = "ramp"
    """The ramp has not begun."""
    COVERAGE = "coverage"
    """The unit is not in the share that is enrolled now."""
