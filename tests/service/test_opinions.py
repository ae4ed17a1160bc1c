"""The words of the second opinion are messages too."""

import msgspec

from rules.html import Rewritten, apply_groups
from service.opinions import Case, Doubt, Opinion, Verdict
from tests.service.judging import PAGE, groups_of, one


def test_a_case_is_what_the_rewriter_got_and_gave() -> None:
    groups = groups_of([one("remove", "h1")])
    result = apply_groups(PAGE, groups, charset="utf-8")
    assert isinstance(result, Rewritten)
    case = Case.of(PAGE, result, groups, nonce="n")
    assert (case.page, case.rewritten, case.charset, case.nonce) == (PAGE, result.page, "UTF-8", "n")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(case), type=Case) == case


def test_an_opinion_survives_the_way() -> None:
    opinion = Opinion(Verdict.NO_OPINION, Doubt.VERB, "strange")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(opinion), type=Opinion) == opinion
