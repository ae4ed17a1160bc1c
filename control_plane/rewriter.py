"""The child process in which preview, `/apply` and the gate rewrite pages.

A parser that crashes or hangs on a hostile page takes the child with it, never the service.
Counterpart: `preview.py` and `gate.py` ask. Never: a decision; the child is told which groups to apply.
"""

import sys

import msgspec

from control_plane.child import ChildEndedError, ChildProcess, confine, serve
from rules.group import Group
from rules.html import Rewritten, Touched, apply_groups
from rules.model import Delivery
from rules.reasons import Outcome, Reason
from service.opinions import Case

TIMEOUT_S = 5.0  # 4 MB parse in 10 ms; what takes seconds is a trap


class Order(msgspec.Struct, frozen=True):
    """A page and what to do with it."""

    page: bytes
    groups: tuple[Group, ...]
    charset: str | None


class Done(msgspec.Struct, frozen=True):
    """What came of it. `passed`: empty, or why the page stayed as it was."""

    page: bytes
    outcomes: tuple[Outcome, ...]
    passed: str = ""
    detail: str = ""
    charset: str = ""
    """WHATWG name of the page's encoding, where it was rewritten."""
    touched: tuple[Touched, ...] = ()


class Rewriter:
    """One child, started when it is first needed, replaced when it ends or takes too long."""

    def __init__(self) -> None:
        self._child = ChildProcess("control_plane.rewriter", Done, timeout_s=TIMEOUT_S)

    async def rewrite(self, order: Order) -> Done:
        """The rewritten page; the page as it was, with the reason, where the child fails. Never raises for a page."""
        try:
            return await self._child.ask(order)
        except TimeoutError:
            passed, detail = Reason.OVER_BUDGET, f"the page took longer than {TIMEOUT_S:.0f} s"
        except ChildEndedError:
            passed, detail = Reason.REWRITE_FAILED, "the rewriter ended over this page"
        return Done(order.page, (), passed.value, detail)

    async def close(self) -> None:
        """End the child."""
        await self._child.close()


def obey(order: Order) -> Done:
    """Carry out one order; what the child does, callable anywhere.

    A preview runs no scripts, so it shows what the browser script would make of the page as if the edge had done it.
    """
    groups = [msgspec.structs.replace(group, delivery=Delivery.EDGE) for group in order.groups]
    result = apply_groups(order.page, groups, charset=order.charset)
    if isinstance(result, Rewritten):
        return Done(result.page, result.outcomes, charset=result.charset, touched=result.touched)
    return Done(order.page, tuple(result.outcomes), result.reason.value, result.detail)


def case_of(order: Order, done: Done) -> Case:
    """An order that was carried out, for the second opinion."""
    return Case(page=order.page, rewritten=done.page, charset=done.charset, groups=order.groups, touched=done.touched)


if __name__ == "__main__":
    confine()
    serve(sys.stdin.buffer, sys.stdout.buffer, Order, obey)
