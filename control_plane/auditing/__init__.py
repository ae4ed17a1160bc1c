"""Whether the audit and the history are what they were when they were written.

Counterpart: `control_plane.store.chain` seals entries. `check.py` is the door; `following.py` follows the chain, `contents.py`
compares what entries sealed with what is stored. Never: a change.
"""

from control_plane.auditing.check import AuditKeyError, check_keys, verify
from control_plane.auditing.report import Anchor, AuditReport, Fault, What

__all__ = ["Anchor", "AuditKeyError", "AuditReport", "Fault", "What", "check_keys", "verify"]
