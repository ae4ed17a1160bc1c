"""A request as a visit: its unit, its consent, and whether it is in a partial rollout."""

import pytest
from multidict import CIMultiDict

from sidecar import visit
from tests.sidecar.visiting import visiting


@pytest.mark.parametrize(
    ("cookie", "unit"),
    [
        ("lm_uid=12345678", "12345678"),
        ("a=b; lm_uid=12345678; c=d", "12345678"),
        ('lm_uid="12345678"', "12345678"),
        ("xlm_uid=12345678", None),
        ("lm_uid=short", None),
        ("lm_uid=<script>alert", None),
        ("a=b", None),
    ],
)
def test_the_unit_cookie(cookie: str, unit: str | None) -> None:
    assert visit.unit_of(CIMultiDict({"Cookie": cookie})) == unit


def test_consent_is_a_cookie_with_something_in_it() -> None:
    assert visit.has_cookie(CIMultiDict({"Cookie": "a=1; consent=yes"}), "consent")
    assert not visit.has_cookie(CIMultiDict({"Cookie": "a=1; consent="}), "consent")
    assert not visit.has_cookie(CIMultiDict({}), "consent")


def test_the_cookie_that_is_set() -> None:
    plain = b"lm_uid=u; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax"
    assert visit.unit_cookie("u", secure=False) == plain
    assert visit.unit_cookie("u", secure=True) == plain + b"; Secure"


def test_rollout_is_a_share_and_stays_the_same() -> None:
    visits = [visiting(unit=f"unit-{number:06}") for number in range(2000)]
    inside = [visit.in_rollout(0.3, one) for one in visits]
    assert inside == [visit.in_rollout(0.3, one) for one in visits]
    assert 0.25 < sum(inside) / len(inside) < 0.35
    assert not any(visit.in_rollout(0, one) for one in visits)
    assert all(visit.in_rollout(1, one) for one in visits)
    assert visit.in_rollout(0.5, visiting(User_Agent="a")) == visit.in_rollout(0.5, visiting(User_Agent="a"))
