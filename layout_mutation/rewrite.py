"""`layout-mutation rewrite`: a saved page in, the rewritten page out, without any server.

The same code that the sidecar runs; `--explain` says for every mutation why it applied or did not.
"""

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from layout_mutation.inputs import read_address, read_file, read_json, read_table
from rules import limits
from rules.context import Context
from rules.decision import Decision, decide
from rules.explanation import explain
from rules.html import PassedThrough, Rewritten, Script, apply_groups
from rules.inference import query_of
from rules.reasons import Outcome, Reason
from rules.switch_words import allowed, not_understood
from rules.table import DecisionTable
from service.clock import now
from service.descriptions import described
from sidecar.runtime.browser_script import SCRIPT

EXAMPLES = """\
examples:
  layout-mutation rewrite --rules examples/rules.json < page.html > changed.html
  layout-mutation rewrite --rules examples/rules.json --explain < page.html > changed.html
      why each mutation applied or did not, on standard error

  layout-mutation rewrite --rules rules.json --url https://shop.example/offers/tea --context visit.json < page.html
      as that page and that visit; visit.json: {"attributes": {"lm_uid": "42", "locale": "de-de"}}

exit codes: 0 fine (also when nothing applied), 2 a file that can't be used
"""


class Visit(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a context file may say; all of it is optional."""

    site: str | None = None
    path: str | None = None
    now: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    layout_id: str | None = None
    attributes: dict[str, object] = {}
    forced: dict[str, str] = {}
    assigned: dict[str, str] = {}
    disabled: frozenset[str] = frozenset()
    """Words, as `rules.switch_words` has them."""
    only: frozenset[str] | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `rewrite`."""
    parser.add_argument("--rules", type=Path, required=True, metavar="FILE", help="the rules file")
    parser.add_argument(
        "--context", type=Path, metavar="FILE", help="the visit: attributes, forced variations, time (JSON)"
    )
    parser.add_argument("--url", default="http://localhost/", help="the page's address [http://localhost/]")
    parser.add_argument("--charset", help="the charset of its Content-Type, if it had one")
    parser.add_argument("--explain", action="store_true", help="say for every mutation why it applied or did not")
    parser.add_argument("--json", action="store_true", help="explain in JSON")


def run(arguments: argparse.Namespace) -> int:
    """Rewrite standard input. The exit code of the contract."""
    table, _ = read_table(arguments.rules)
    context = context_of(arguments.url, arguments.context)
    page = read_file(Path("-"), bytes_max=limits.PAGE_BYTES_MAX)
    context = described(context, table, page=page, charset=arguments.charset)
    decision = decide(table, context)
    script = Script(SCRIPT.address)
    groups = decision.groups
    result = apply_groups(page, groups, charset=arguments.charset, script=script) if groups else None
    sys.stdout.buffer.write(result.page if isinstance(result, Rewritten) else page)
    sys.stdout.buffer.flush()
    unknown = not_understood(context)
    if unknown and not arguments.json:
        print(f"not understood: {', '.join(unknown)}; a word is {allowed()}", file=sys.stderr)
    if arguments.explain or arguments.json:
        outcomes = explain(table, context, decision, result.outcomes if result is not None else ())
        print(
            _as_json(outcomes, decision, unknown)
            if arguments.json
            else _as_text(outcomes, _summary(result, decision), table),
            file=sys.stderr,
        )
    return 0


def context_of(url: str, file: Path | None) -> Context:
    """The visit of a page: the address's own attributes, and over them those of the context file."""
    parts = read_address("--url", url, example="https://shop.example/offers")
    visit: Visit = read_json(file, Visit) if file is not None else Visit()
    site, path = visit.site or parts.hostname or "", visit.path or parts.path or "/"
    own = {"host": site, "path": path, "url": url, "query": query_of(url), "layoutId": visit.layout_id}
    return Context(
        site=site,
        path=path,
        now=visit.now or now(),
        layout_id=visit.layout_id,
        attributes={**own, **visit.attributes},
        forced=visit.forced,
        assigned=visit.assigned,
        disabled=visit.disabled,
        only=visit.only,
    )


def _as_text(outcomes: tuple[Outcome, ...], summary: str, table: DecisionTable) -> str:
    names = {row.mutation.id: row.mutation.name for row in table.rows}
    width = max((len(outcome.mutation_id) for outcome in outcomes), default=0)
    lines = [
        f"{outcome.mutation_id:<{width}}  {outcome.reason:<17}  {outcome.detail}"
        + (f"  ({names[outcome.mutation_id]})" if names[outcome.mutation_id] else "")
        for outcome in outcomes
    ]
    return "\n".join([summary, *map(str.rstrip, lines)])


def _summary(result: Rewritten | PassedThrough | None, decision: Decision) -> str:
    if decision.redirect is not None:
        return f"redirects to {decision.redirect.location} ({decision.redirect.status}); the page is as it came"
    if isinstance(result, Rewritten):
        changed = (
            sum(edit.end - edit.start for edit in result.edits),
            sum(len(edit.replacement) for edit in result.edits),
        )
        edits = f"{len(result.edits)} edit{'s' if len(result.edits) != 1 else ''}"
        return f"rewritten: {edits}, {changed[0]} bytes replaced by {changed[1]}, charset {result.charset}"
    reason = result.reason if result is not None else Reason.NO_RULES
    return f"passed through: {reason}" + (f" ({result.detail})" if result is not None and result.detail else "")


def _as_json(outcomes: tuple[Outcome, ...], decision: Decision, unknown: tuple[str, ...]) -> str:
    return msgspec.json.encode(
        {
            "outcomes": [
                {"mutationId": one.mutation_id, "reason": one.reason, "detail": one.detail} for one in outcomes
            ],
            "assignments": decision.assignments,
            "remember": decision.remember,
            "reads": sorted(decision.reads),
            "private": decision.private,
            "redirect": decision.redirect,
            "notUnderstood": unknown,
        }
    ).decode()
