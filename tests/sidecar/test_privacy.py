"""Signals of browsers that count as no consent, and units that grow old."""

from typing import Any

import pytest

from sidecar.context.visit import dated_unit
from tests.sidecar.one_headline import NEW, PAGE, variant, weighing
from tests.sidecar.remembered import BUYING, LOOKED, visiting
from tests.sidecar.wire import NOON, UNIT, headline, table

FORGOTTEN = b"lm_uid=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
VARIANT, NEW_ONLY = variant(), weighing(0.0, 1.0)


BOTH = ("Sec-GPC: 1", "DNT: 1")


@pytest.mark.parametrize(
    ("signals", "fields", "heeded"),
    [
        ("ignore", BOTH, False),
        ("gpc", ("Sec-GPC: 1",), True),
        ("gpc", ("DNT: 1",), False),
        ("dnt", ("DNT: 1",), True),
        ("dnt", ("Sec-GPC: 1",), False),
        ("both", ("Sec-GPC: 1",), True),
        ("both", ("DNT: 1",), True),
        ("both", ("Sec-GPC: 0", "DNT: 0"), False),
        ("both", (), False),
    ],
)
@pytest.mark.parametrize("consent", [{}, {"consent": "required", "consent_cookie": "ok"}], ids=["implied", "required"])
async def test_a_signal_that_is_heeded_counts_as_no_consent(
    signals: str, fields: tuple[str, ...], heeded: bool, consent: dict[str, Any]
) -> None:
    rules = table(VARIANT, LOOKED, experiments=[NEW_ONLY], attributes=[BUYING])
    async with visiting(rules, privacy_signals=signals, **consent) as visits:
        visits.browser.cookies["ok"] = "1"
        answer = await visits.get("/product/tea", *fields)
        assert (answer.body == NEW) is not heeded
        assert len(answer.all(b"Set-Cookie")) == (0 if heeded else 2)
        assert answer.get(b"Cache-Control") == b"private, max-age=60"


async def test_what_was_kept_before_is_neither_read_nor_left() -> None:
    rules = table(VARIANT, LOOKED, experiments=[NEW_ONLY], attributes=[BUYING])
    async with visiting(rules, privacy_signals="gpc") as visits:
        assert (await visits.get("/product/tea")).body == NEW
        assert set(visits.browser.cookies) == {"lm_uid", "lm_state"}
        answer = await visits.get("/offers", "Sec-GPC: 1")
        assert answer.body == PAGE
        unit, state = answer.all(b"Set-Cookie")
        assert (unit, state) == (FORGOTTEN, FORGOTTEN.replace(b"lm_uid", b"lm_state"))
        assert visits.browser.cookies == {}
        assert (await visits.get("/offers", "Sec-GPC: 1")).all(b"Set-Cookie") == []


REQUIRED: dict[str, Any] = {"consent": "required", "consent_cookie": "ok"}


async def test_a_unit_goes_with_the_consent_on_whatever_page_and_the_page_is_then_for_one_visitor() -> None:
    """No rule asks for units any more. Said once, for the browser sends it once."""
    async with visiting(table(headline()), **REQUIRED) as visits:
        visits.browser.cookies.update(lm_uid=UNIT, ok="1")
        before = await visits.get("/")
        assert (before.all(b"Set-Cookie"), before.get(b"Cache-Control")) == ([], b"public, max-age=60")
        del visits.browser.cookies["ok"]
        told = await visits.get("/")
        assert (told.body, told.all(b"Set-Cookie"), told.get(b"Cache-Control")) == (
            NEW,
            [FORGOTTEN],
            b"private, max-age=60",
        )
        after = await visits.get("/")
        assert (after.raw, after.body) == (before.raw, NEW)


async def test_a_unit_is_forgotten_with_the_attributes_that_it_was_set_with() -> None:
    rules, secure = table(VARIANT, experiments=[NEW_ONLY]), "X-Forwarded-Proto: https"
    async with visiting(rules, trust_forwarded=True, **REQUIRED) as visits:
        visits.browser.cookies["ok"] = "1"
        given, _ = (await visits.get("/", secure)).all(b"Set-Cookie")
        del visits.browser.cookies["ok"]
        told, _ = (await visits.get("/", secure)).all(b"Set-Cookie")
        assert told == FORGOTTEN + b"; Secure"
        assert given.split(b"; ")[2:] == told.split(b"; ")[2:]


async def test_who_has_the_page_already_gets_it_whole_to_forget_the_unit() -> None:
    """A cache may merge a 304 into what it keeps for everybody (RFC 9111 4.3.4)."""
    async with visiting(table(headline()), **REQUIRED) as visits:
        etag = ((await visits.get("/")).get(b"ETag") or b"").decode()
        visits.browser.cookies["lm_uid"] = UNIT
        whole = await visits.get("/", f"If-None-Match: {etag}")
        assert (whole.status, whole.all(b"Set-Cookie")) == (200, [FORGOTTEN])
        assert (await visits.get("/", f"If-None-Match: {etag}")).status == 304


@pytest.mark.parametrize(
    ("method", "fields", "settings"),
    [
        ("POST", (), {}),
        ("HEAD", (), {}),
        ("GET", ("HX-Request: true",), {}),
        ("GET", (), {"rollout": 0.0}),
        ("GET", (), {"shadow": True}),
    ],
)
async def test_nothing_is_said_of_the_unit_but_with_a_whole_page(
    method: str, fields: tuple[str, ...], settings: dict[str, Any]
) -> None:
    async with visiting(table(headline()), **REQUIRED, **settings) as visits:
        visits.browser.cookies["lm_uid"] = UNIT
        assert (await visits.get("/", *fields, method=method)).all(b"Set-Cookie") == []


async def test_a_page_that_reads_nothing_kept_is_the_same_with_and_without_the_signal() -> None:
    async with visiting(table(headline()), privacy_signals="both") as visits:
        plain = await visits.get("/")
        assert (await visits.get("/", *BOTH)).raw == plain.raw
        assert plain.get(b"Cache-Control") == b"public, max-age=60"


async def test_a_unit_is_replaced_when_its_days_are_over_and_only_then() -> None:
    rules = table(VARIANT, experiments=[NEW_ONLY])
    async with visiting(rules, unit_days=30) as visits:
        old = dated_unit("00000000-0000-4000-8000-000000000007", NOON)
        visits.browser.cookies["lm_uid"] = old
        visits.time.pass_by(29 * 24 * 60)
        assert not any(b"lm_uid" in cookie for cookie in (await visits.get("/")).all(b"Set-Cookie"))
        visits.time.pass_by(24 * 60)
        cookies = (await visits.get("/")).all(b"Set-Cookie")
        assert [cookie for cookie in cookies if cookie.startswith(b"lm_uid=")] == [
            f"lm_uid={UNIT}; Max-Age={30 * 24 * 3600}; Path=/; HttpOnly; SameSite=Lax".encode()
        ]
        assert visits.browser.cookies["lm_uid"] == UNIT
