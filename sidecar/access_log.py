"""A line for each response, or for a share of them: only where somebody switched that on.

Counterpart: `proxy` says what has left; `service.logs` formats the line.
Never: more of an address than its path; a response that failed left out.
"""

import random

import structlog

from rules.reasons import Reason
from sidecar.exchange import Exchange

ALWAYS = frozenset(
    reason.value for reason in (Reason.DECIDE_FAILED, Reason.REWRITE_FAILED, Reason.OVER_BUDGET, Reason.BROKEN_BODY)
)
"""Pages that passed since something failed; beside them every response of 500 and more."""


class AccessLog:
    """The access log of one worker. `share` of the responses that went well are logged, all others always."""

    def __init__(self, share: float, entropy: random.Random | None = None) -> None:
        self._share = share
        self._entropy = entropy or random.Random()  # noqa: S311 - which lines are written
        self._log = structlog.get_logger("sidecar.access_log")

    def responded(self, exchange: Exchange, reason: str, status: int, sent_bytes: int) -> None:
        """What has left. A line that stands for others says for what share it does."""
        fields: dict[str, object] = {}
        if self._share < 1 and status < 500 and reason not in ALWAYS:
            if self._entropy.random() >= self._share:
                return
            fields["share"] = self._share
        if exchange.trace is not None and (trace_id := exchange.trace.trace_id):
            fields["trace_id"] = trace_id
        self._log.info(
            "request",
            method=exchange.request.method,
            path=exchange.path,
            reason=reason,
            status=status,
            sent_bytes=sent_bytes,
            **fields,
        )
