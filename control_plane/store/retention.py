"""What stores let go of by themselves when it has served its time, and what a record is when that has been done.

Counterparts: `interface.py` has `forget_old`, in which each kind of store does it; moves compare two stores as if both had.
Never: a document, a version, an audit entry, or a thing of a shelf that was not discarded.
"""

from datetime import datetime, timedelta

import msgspec

from control_plane.store.records import AnswerRecord, KeptRecord, Record, SignInRecord, TableRecord

TABLES_KEPT = 100
"""Signed bytes of older tables are let go; what was published when stays."""
KEYS_KEPT = timedelta(days=7)
SIGN_INS_KEPT = timedelta(days=1)  # after they ended
MARKS_KEPT = timedelta(days=90)
"""So long others can hear that a thing of a shelf was discarded: a mirror that is older is filled anew."""


def lasting(record: Record, now: datetime, newest_table: int) -> Record | None:
    """The record without what has served its time; None where that is all of it. `newest_table`: the store's newest version."""
    if isinstance(record, AnswerRecord):
        return None if record.at < now - KEYS_KEPT else record
    if isinstance(record, SignInRecord):
        return None if record.expires_at < now - SIGN_INS_KEPT else record
    if isinstance(record, KeptRecord):
        return None if record.deleted and record.at < now - MARKS_KEPT else record
    if isinstance(record, TableRecord) and record.table.version <= newest_table - TABLES_KEPT:
        return TableRecord(msgspec.structs.replace(record.table, sealed=None))
    return record
