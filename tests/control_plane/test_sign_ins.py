"""Sign-ins where nothing can be written down: once here, to look alone, and told of as soon as it can be."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from control_plane import sign_ins
from control_plane.audit import Audit
from control_plane.sign_ins import LOOKING_TTL_SECONDS, UNTOLD, USED_TWICE, SignedIn, SignIns
from control_plane.store import AwayError, OutcomeUnknownError, ReadOnlyError
from control_plane.store.mirror.standing import State
from control_plane.tokens import Actor, Role, Session, SignInLink, TokenError, TokenReason, Tokens
from service.clock import now
from tests.control_plane.plane import CHAIN, until
from tests.control_plane.store.outages import Instance, Wire, instance
from tests.control_plane.store.test_mirrored import Elsewhere

TOKENS = Tokens("s" * 40)
ADA = Actor("ada", Role.ADMIN)


def link(role: Role = Role.ADMIN) -> SignInLink:
    address = TOKENS.sign_in_link("http://any.example", subject="ada", role=role)
    return TOKENS.read_sign_in(parse_qs(urlsplit(address).query)["token"][0])


def of(one: Instance) -> SignIns:
    audit = Audit(one.store, CHAIN, one.alerts, clock=now)
    return SignIns(one.store, audit, one.alerts, clock=now)


@pytest.fixture
async def reading(wire: Wire, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance that can only read, until the wire is mended."""
    async with instance(wire.url, tmp_path / "one", lease=Elsewhere()) as one:
        await wire.cut()
        await one.answers(State.MIRROR)
        yield one


async def entries(one: Instance) -> list[tuple[str, str, str]]:
    found = await one.store.audit_page("session", None, None, 10)
    return [(entry.action, entry.role, entry.reason) for entry in reversed(found)]


async def test_where_it_can_be_written_down_a_link_works_once_for_its_role(wire: Wire, tmp_path: Path) -> None:
    async with instance(wire.url, tmp_path / "one") as one:
        door, given = of(one), link()
        assert await door.redeem(given, "here") == SignedIn(ADA)
        with pytest.raises(TokenError) as caught:
            await door.redeem(given, "here")
        assert caught.value.reason is TokenReason.USED
        await wire.cut()
        await one.answers(State.MIRROR)
        with pytest.raises(TokenError):
            await door.redeem(given, "here")
        assert await door.redeem(link(), "here") == SignedIn(ADA), "who takes changes writes it into the outbox"
        assert await entries(one) == [("signed_in", "admin", "")] * 2
        assert one.alert_ids() == set()


async def test_who_finds_out_that_the_database_is_away_is_signed_in_all_the_same(wire: Wire, tmp_path: Path) -> None:
    async with instance(wire.url, tmp_path / "one") as one:
        await wire.cut()
        assert await of(one).redeem(link(), "here") == SignedIn(ADA)


async def test_where_one_can_only_read_a_link_works_once_and_only_to_look(reading: Instance) -> None:
    door, given = of(reading), link()
    passed = await door.redeem(given, "here")
    assert passed == SignedIn(Actor("ada", Role.VIEWER), LOOKING_TTL_SECONDS, Role.ADMIN)
    with pytest.raises(TokenError) as caught:
        await door.redeem(given, "here")
    assert caught.value.reason is TokenReason.USED
    assert UNTOLD in reading.alert_ids()


async def test_of_two_who_press_the_button_at_the_same_moment_one_passes(reading: Instance) -> None:
    door, given = of(reading), link()
    came = await asyncio.gather(*(door.redeem(given, "here") for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(one, SignedIn) for one in came) == 1
    assert sum(isinstance(one, TokenError) for one in came) == 7


async def test_it_is_told_as_soon_as_it_can_be_and_the_link_is_used_up_everywhere(
    reading: Instance, wire: Wire
) -> None:
    door, given = of(reading), link()
    await door.redeem(given, "here")
    await door.leave(Session(Actor("ada", Role.VIEWER), "session", now() + timedelta(hours=1)), "here")
    keeping = asyncio.create_task(door.keep())
    try:
        await wire.mend()
        await reading.answers(State.PRIMARY)

        async def is_told() -> bool:
            return UNTOLD not in reading.alert_ids()

        await until(is_told)
    finally:
        keeping.cancel()
    (first, role, reason), (second, _, _) = await entries(reading)
    assert (first, role, second) == ("signed_in", "viewer", "signed_out")
    assert "while one could only read: to look, with a link for admin" in reason
    assert not await reading.primary.use_sign_in(given.id, given.expires_at)
    assert USED_TWICE not in reading.alert_ids()
    with pytest.raises(TokenError):
        await door.redeem(given, "here")


async def test_a_link_that_was_used_at_two_instances_is_told_of(
    reading: Instance, wire: Wire, database_url: str, tmp_path: Path
) -> None:
    given = link()
    async with instance(database_url, tmp_path / "two") as two:
        assert (await of(two).redeem(given, "there")).actor == ADA
        door = of(reading)
        assert (await door.redeem(given, "here")).actor.role is Role.VIEWER, "it can't know better"
        await door.tell()
        assert UNTOLD in reading.alert_ids(), "the database is still away"
        await wire.mend()
        await reading.answers(State.PRIMARY)
        await door.tell()
    (alert,) = [one for one in reading.alerts.open() if one.id == USED_TWICE]
    assert "here at" in alert.detail
    assert "used at another instance as well" in (await entries(reading))[-1][2]


async def test_no_more_are_held_than_are_bounded_and_no_link_is_forgotten_while_it_works(
    reading: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_ins, "HELD_MAX", 2)
    door, live = of(reading), link()
    ended = SignInLink(ADA, "ended", now() - timedelta(minutes=1))
    await door.redeem(ended, "here")
    await door.redeem(live, "here")
    await door.redeem(link(), "here")
    with pytest.raises(ReadOnlyError, match="try again"):
        await door.redeem(link(), "here")
    with pytest.raises(TokenError):
        await door.redeem(live, "here")


async def test_who_has_no_pages_gets_none_by_only_reading(reading: Instance) -> None:
    with pytest.raises(ValueError, match="no pages"):
        await of(reading).redeem(link(Role.SIDECAR), "here")


class Unsure:
    """A store whose answer to a link is lost."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def use_sign_in(self, _: str, __: datetime) -> bool:
        raise self.error

    async def position(self) -> None:
        raise AwayError("nothing can be read either")


@pytest.mark.parametrize("error", [OutcomeUnknownError("lost"), AwayError("away")])
async def test_where_nobody_knows_and_where_nothing_can_be_read_nobody_passes(
    error: Exception, reading: Instance
) -> None:
    audit = Audit(reading.store, CHAIN, reading.alerts, clock=lambda: datetime.now(UTC))
    door = SignIns(Unsure(error), audit, reading.alerts, clock=now)  # type: ignore[arg-type]  # all that it asks for
    with pytest.raises(type(error)):
        await door.redeem(link(), "here")


async def test_what_nobody_foresaw_keeps_nothing_from_the_audit_for_good(
    reading: Instance, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_ins, "TELL_INTERVAL_S", 0.01)
    door, failed = of(reading), asyncio.Event()
    await door.redeem(link(), "here")
    tell = door.tell

    async def failing() -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("a bug")
        await tell()

    monkeypatch.setattr(door, "tell", failing)
    keeping = asyncio.create_task(door.keep())
    try:
        await failed.wait()
        await wire.mend()

        async def is_told() -> bool:
            return UNTOLD not in reading.alert_ids()

        await until(is_told)
    finally:
        keeping.cancel()
    assert [action for action, _, _ in await entries(reading)] == ["signed_in"]
