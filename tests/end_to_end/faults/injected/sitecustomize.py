"""Bugs that this code does not have, put into a sidecar's processes as they start: see `tests.end_to_end.faults.pages`.

Python imports a module of this name from the first folder of its path that has one. The folder is on the PYTHONPATH of the
sidecars of the fault matrix and of nobody else. Counterpart: `stage` puts it there.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

import rules.decision
import rules.html
from tests.end_to_end.faults import pages


def decide_or_raise(decide: Callable[..., Any]) -> Callable[..., Any]:
    """`rules.decision.decide` with a bug on one path."""

    def deciding(table: Any, context: Any, **options: Any) -> Any:
        if context.path == pages.UNDECIDABLE:
            raise RuntimeError("a bug that a test has put here")
        return decide(table, context, **options)

    return deciding


def apply_or_fail(apply: Callable[..., Any]) -> Callable[..., Any]:
    """`rules.html.apply_groups` that raises, hangs or crashes over pages that say so."""

    def applying(page: bytes, *arguments: Any, **options: Any) -> Any:
        if pages.RAISES in page:
            raise RuntimeError("a bug that a test has put here")
        if pages.CRASHES in page:
            os.kill(os.getpid(), signal.SIGSEGV)
        while pages.HANGS in page:
            pass
        return apply(page, *arguments, **options)

    return applying


rules.decision.decide = decide_or_raise(rules.decision.decide)
rules.html.apply_groups = apply_or_fail(rules.html.apply_groups)
