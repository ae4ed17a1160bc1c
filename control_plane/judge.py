"""The second opinion as this plane asks for it: of a child process, within a bound of time.

Counterparts: `verifier.py` runs in the child, `gate.py` and `preview.py` ask. Never: selectolax in the service itself.
"""

from control_plane.child import ChildEndedError, ChildProcess
from service.opinions import PAGE_BYTES_MAX, Case, Doubt, Judged, Opinion, Verdict

TIMEOUT_S = 5.0


class Judge:
    """One child, started when it is first needed, replaced when it ends or takes too long."""

    def __init__(self, *, program: str = "control_plane.verifier", timeout_s: float = TIMEOUT_S) -> None:
        self._child: ChildProcess[Judged] = ChildProcess(program, Judged, timeout_s=timeout_s)

    async def opinion(self, case: Case) -> Opinion:
        """What selectolax makes of a rewritten page; no opinion where the child fails. Never raises for a page."""
        if max(len(case.page), len(case.rewritten)) > PAGE_BYTES_MAX:
            return Opinion(Verdict.NO_OPINION, Doubt.TOO_LARGE)
        try:
            return (await self._child.ask(case)).opinion
        except TimeoutError:
            return Opinion(Verdict.NO_OPINION, Doubt.FAILED, "the second opinion took too long over this page")
        except ChildEndedError:
            return Opinion(Verdict.NO_OPINION, Doubt.FAILED, "the second opinion's process ended over this page")

    async def close(self) -> None:
        """End the child."""
        await self._child.close()
