"""Whether the audit and the history were tampered with.

Counterpart: `layout_mutation.audit` does the work, and has a command of its own. Never: a change.
"""

import asyncio
from collections.abc import Sequence

from control_plane.schema.runner import SchemaError
from control_plane.store import StoreError
from layout_mutation.audit import told, verified
from layout_mutation.doctor.checks import Asked, Check, store_is_fine
from layout_mutation.inputs import UnusableError

FAULTS_TOLD_MAX = 5


def audit(asked: Asked, found: Sequence[Check]) -> list[Check]:
    """Every seal, link, content and anchor; asked only where the store is fine."""
    if not store_is_fine(found):
        return []
    if not asked.environ.get("CONTROL_PLANE_SIGNING_KEY"):
        return [Check("audit", True, "not looked at: its keys are not here (CONTROL_PLANE_SIGNING_KEY)")]
    try:
        report = asyncio.run(verified(dict(asked.environ), asked.data_dir))
    except (StoreError, SchemaError, UnusableError) as error:
        return [Check("audit", False, str(error))]
    lines = [line.partition("  ")[2].strip() for line in told(report)]
    return [Check("audit", report.sound, "; ".join([lines[0].removeprefix("audit: "), *lines[1:][:FAULTS_TOLD_MAX]]))]
