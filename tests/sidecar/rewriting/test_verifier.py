"""What the judging child answers, in this process."""

import msgspec

from service.opinions import Doubt, Judged, Verdict
from sidecar.rewriting.verifier import answering
from tests.service.judging import PAGE, groups_of, one, rewritten

CASE = rewritten(PAGE, groups_of([one("remove", "h1")]))


def test_cases_are_judged_one_by_one() -> None:
    wrong = msgspec.structs.replace(CASE, rewritten=PAGE)
    broken = msgspec.structs.replace(CASE, groups=())
    answered = answering()
    answers = [answered(bytearray(msgspec.msgpack.encode(case))) for case in (CASE, wrong, broken)]
    said = [msgspec.msgpack.decode(answer, type=Judged) for answer in answers]
    assert [judged.opinion.verdict for judged in said] == [Verdict.AGREES, Verdict.DIFFERS, Verdict.NO_OPINION]
    assert [judged.blamed for judged in said] == [(), ("m-0",), ()]
    assert (said[2].opinion.doubt, said[2].opinion.detail) == (Doubt.FAILED, "KeyError: 'm-0'")
