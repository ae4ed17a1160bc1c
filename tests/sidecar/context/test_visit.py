"""A request as a visit: its unit, its consent, and whether it is in a partial rollout."""

import uuid
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from multidict import CIMultiDict

from sidecar.context import visit
from tests.sidecar.visiting import NOW, visiting


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


@pytest.mark.parametrize(
    ("age_days", "days", "counts"),
    [(0, 1, True), (1, 1, False), (364, 365, True), (365, 365, False), (-1, 365, True), (-2, 365, False)],
)
def test_a_unit_that_names_its_day_counts_for_so_many_days(age_days: int, days: int, counts: bool) -> None:
    unit = visit.dated_unit(str(uuid.UUID(int=7)), NOW - timedelta(days=age_days))
    given = CIMultiDict({"Cookie": f"lm_uid={unit}"})
    assert visit.unit_of(given) == unit
    assert visit.unit_of_today(given, lambda: NOW, days) == (unit if counts else None)


def test_a_unit_without_a_day_counts_whatever_the_day() -> None:
    def no_clock() -> datetime:
        raise AssertionError("nobody needs to know the time")

    for unit in ("00000000-0000-4000-8000-000000000001", "d20000-short", "d2000-00000000-0000-4000-8000-000000000001"):
        assert visit.unit_of_today(CIMultiDict({"Cookie": f"lm_uid={unit}"}), no_clock, 1) == unit
    assert visit.unit_of_today(CIMultiDict(), no_clock, 1) is None


def test_consent_is_a_cookie_with_something_in_it() -> None:
    assert visit.has_cookie(CIMultiDict({"Cookie": "a=1; consent=yes"}), "consent")
    assert not visit.has_cookie(CIMultiDict({"Cookie": "a=1; consent="}), "consent")
    assert not visit.has_cookie(CIMultiDict({}), "consent")


def test_the_cookie_that_is_set() -> None:
    plain = b"lm_uid=u; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax"
    assert visit.unit_cookie("u", secure=False, days=365) == plain
    assert visit.unit_cookie("u", secure=True, days=365) == plain + b"; Secure"


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Shop.Example:8080", "shop.example"),
        ("Shop.Example", "shop.example"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("[2001:DB8::1]:80", "[2001:db8::1]"),
        (":80", ":80"),
        ("", ""),
    ],
)
def test_a_host_is_the_authority_without_its_port(authority: str, host: str) -> None:
    assert visit.host_of(authority) == host


def test_a_path_is_what_stands_before_the_query() -> None:
    assert [visiting(target).path for target in ("/a?b?c", "/a", "/a?")] == ["/a"] * 3


def test_whom_a_rollout_has_it_keeps_as_it_grows() -> None:
    visits = [visiting(User_Agent=f"browser {number}") for number in range(200)]
    shares = (0.0, 0.2, 0.4, 0.8, 1.0)
    inside = [{number for number, one in enumerate(visits) if visit.in_rollout(share, one)} for share in shares]
    assert all(fewer < more for fewer, more in pairwise(inside))


def test_rollout_is_a_share_and_stays_the_same() -> None:
    visits = [visiting(unit=f"unit-{number:06}") for number in range(2000)]
    inside = [visit.in_rollout(0.3, one) for one in visits]
    assert inside == [visit.in_rollout(0.3, one) for one in visits]
    assert 0.25 < sum(inside) / len(inside) < 0.35
    assert not any(visit.in_rollout(0, one) for one in visits)
    assert all(visit.in_rollout(1, one) for one in visits)
    assert visit.in_rollout(0.5, visiting(User_Agent="a")) == visit.in_rollout(0.5, visiting(User_Agent="a"))


def test_an_offered_unit_is_made_when_it_is_looked_at_and_once() -> None:
    made = iter(("first", "second"))
    nobody = visiting()
    offered = msgspec.structs.replace(nobody, offer=visit.Offer(lambda: next(made)))

    assert nobody.new_unit is None
    assert (offered.new_unit, offered.new_unit) == ("first", "first")
    assert next(made) == "second"
