"""A visit that somebody describes, in JSON, instead of making it: completed as the edge would.

For `/explain`, preview, `/apply` and the command line. What is not described, and does not follow from what is, stays away.
Counterpart: `sidecar.context.contexts`, which has a request. Never: a value in place of one that was given.
"""

from collections.abc import Sequence

from msgspec import structs

from rules.context import Context
from rules.html.handed_over import handed_over
from rules.inference import Means, completed
from rules.table import DecisionTable
from service.user_agents import agent_of


def described(
    context: Context,
    table: DecisionTable,
    *,
    page: bytes | None = None,
    charset: str | None = None,
    header: Sequence[str] = (),
) -> Context:
    """The visit with what the rules of its page read and follows from what it has.

    `page` is the page that is visited, if it is there, `charset` that of its Content-Type, `header` what its
    X-Layout-Attributes say.
    """
    reads, known = table.asks(context.site, context.path), context.attributes
    if page is not None and "page" in reads and "page" not in known:
        said = handed_over(page, charset=charset, header=header).attributes
        known = {**known, "page": said} if said else known
    attributes = completed(known, reads, Means(context.now, agent_of))
    return context if attributes is context.attributes else structs.replace(context, attributes=attributes)
