"""The chapter on failures: what visitors get, what the log says, which metrics move.

Counterpart: `sidecar.fail_open` has the rows. Never: a failure that it does not have.
"""

from sidecar.fail_open import TABLE, Row

_HEAD = """\
## When something fails

A visitor gets the origin's page whatever fails on the way to it; what more there is to lose is here. `make faults` provokes each
row on this machine, with two hundred visitors who look at every byte, and prints what they saw. Metrics without a label move in
all of their samples, or in one.

| what fails | the visitor gets | the log has | the metrics |
| --- | --- | --- | --- |
"""


def chapter() -> str:
    """The chapter."""
    return _HEAD + "".join(map(_row, TABLE))


def _row(row: Row) -> str:
    logs = ", ".join(f"`{event}`" for event in row.logs) or "nothing"
    return f"| {row.failure} | {row.visitor} | {logs} | {', '.join(f'`{metric}`' for metric in row.metrics)} |\n"
