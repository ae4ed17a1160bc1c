"""For every mutation of a table one outcome: of the page where it was tried, else of the decision."""

from rules.decision import decide
from rules.explanation import explain, refused
from rules.reasons import Outcome, Reason
from tests.rules.making import experiment, removing, table, variant, visit


def test_every_mutation_is_explained() -> None:
    found = table(
        removing("here"),
        removing("page", pageSlug="/a"),
        removing("site", site="other.test"),
        variant("test"),
        experiments=[experiment()],
    )
    context = visit(forced={"e": "new"})
    tried = [Outcome("here", Reason.TARGET_NOT_FOUND, "operation 1: h1"), Outcome("test", Reason.APPLIED, "1 element")]
    told = {outcome.mutation_id: outcome for outcome in explain(found, context, decide(found, context), tried)}
    assert told["here"].reason is Reason.TARGET_NOT_FOUND
    assert told["page"] == Outcome("page", Reason.OTHER_PAGE, "pageSlug /a is not /")
    assert told["site"] == Outcome("site", Reason.OTHER_SITE, "site other.test is not shop.example")
    assert told["test"] == Outcome("test", Reason.APPLIED, "e=new, forced, 1 element")
    assert [outcome.mutation_id for outcome in refused(tried)] == ["here"]
