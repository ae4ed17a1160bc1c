"""A peer gives its newest backup to who may have it, and what it gives is taken when it is proven to be ours and whole."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from control_plane.alerts import Alerts
from control_plane.auditing.check import verify
from control_plane.backups import peers
from control_plane.backups.configured import kept_by
from control_plane.backups.encryption import Keys
from control_plane.backups.lines import BackupError
from control_plane.backups.peers import Peer, fetch
from control_plane.backups.rescue import IMPOSSIBLE, NO_PEER, RESTORED, Rescue
from control_plane.exchange import Exchange
from control_plane.moving.exports import write
from control_plane.settings import ControlPlaneSettings
from control_plane.signing import Signer
from control_plane.store import Chain, Store
from control_plane.store.local import LocalStore
from control_plane.tokens import Role, issue
from service.clock import now
from service.keys import Keys as RedisKeys
from tests.control_plane.backups.test_rescue import told, written
from tests.control_plane.moving.stores import fill as without_audit
from tests.control_plane.plane import CHAIN, running
from tests.control_plane.test_backups import WHOSE, fill

Given = Callable[[web.Request], Awaitable[web.StreamResponse]]
Filled = Callable[[Store], Awaitable[None]]
SUBJECT = "standby"


async def test_where_everything_else_is_gone_a_peer_gives_its_newest_backup(
    settings: ControlPlaneSettings, empty_url: str, tmp_path: Path, redis_environment: str
) -> None:
    giving = msgspec.structs.replace(settings, backup_readers=f"somebody, {SUBJECT}")
    async with running(giving) as peer:
        live, draft = await written(peer)
        await peer.services.backups.make("by_hand")
        url = f"http://127.0.0.1:{peer.port}"
        token = issue(giving.jwt_secret, Role.PEER, SUBJECT)
        stranger = issue(giving.jwt_secret, Role.PEER, "stranger")
        for refused in (stranger, issue(giving.jwt_secret, Role.PUBLISHER, SUBJECT)):
            answer = await peer.ask("GET", "backups/newest/file", headers={"Authorization": f"Bearer {refused}"})
            assert (answer.status, answer.json()["type"]) == (403, "urn:layout-mutation:problem:role")
        given = await peer.ask("GET", "backups/newest/file", headers={"Authorization": f"Bearer {token}"})
        [file] = (Path(settings.data_dir) / "backups").iterdir()
        assert (given.status, given.body) == (200, file.read_bytes())
        asking = msgspec.structs.replace(
            settings,
            database_url=empty_url,
            data_dir=str(tmp_path / "new disk"),
            layout_mutation_environment=f"{redis_environment}-new",
            peers={"away": "http://127.0.0.1:9", "strict": url, "berlin": url},
            peer_tokens={"away": token, "strict": stranger, "berlin": token},
        )
        async with running(asking) as plane:
            assert (await plane.ask("GET", f"mutations/{live}")).json()["version"] == 2
            assert (await plane.ask("GET", f"mutations/{draft}")).status == 200
            assert "restored from the backup of the peer berlin, made 0.0 hours ago" in told(plane)[RESTORED]
            assert (await plane.services.audit.verify()).sound
            listed = (await plane.ask("GET", "peers")).json()["items"]
            assert {one["id"]: one["tokenVariable"] for one in listed} == dict.fromkeys(
                asking.peers, "CONTROL_PLANE_PEER_TOKENS"
            )
            assert "ask_peers" in plane.services.schedules._works
            await peers.look(peers.peers_of(asking), plane.services.alerts)
            assert re.search(
                r"now\. away: .* can't be asked: .*; strict: .* \(403\)[^;]*$", told(plane)[peers.PEERS_REFUSE]
            )
            await peers.look(peers.peers_of(asking)[2:], plane.services.alerts)
            assert peers.PEERS_REFUSE not in told(plane)
            assert token not in str([record async for record in plane.services.store.records()])


# ---------------------------------------------------------------- what a peer may give


@asynccontextmanager
async def peer_that(gives: Given) -> AsyncIterator[Peer]:
    app = web.Application()
    app.router.add_get(peers.PATH, gives)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield Peer("berlin", f"http://127.0.0.1:{runner.addresses[0][1]}", "a-secret-token")
    finally:
        await runner.cleanup()


def status(code: int, **headers: str) -> Given:
    async def give(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers=headers)

    return give


def file_of(data: bytes) -> Given:
    async def give(_: web.Request) -> web.StreamResponse:
        return web.Response(body=data)

    return give


async def silent(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"a")
    await asyncio.sleep(60)  # until the one who asks hangs up
    return response


@pytest.mark.parametrize(
    ("gives", "problem"),
    [
        (status(401), r"gives no backup to our token \(401\): make a token there .*CONTROL_PLANE_BACKUP_READERS"),
        (status(403), r"gives no backup to our token \(403\)"),
        (status(404), "has no backup"),
        (status(302, Location="http://elsewhere.example/"), "answered 302 in place of a backup"),
        (status(500), "answered 500 in place of a backup"),
        (file_of(b"x" * 2_000), "larger than 1,000 bytes"),
        (silent, "can't be asked: .*"),
    ],
)
async def test_what_is_no_answer_is_one_error_that_says_what_to_do(gives: Given, problem: str, tmp_path: Path) -> None:
    async with peer_that(gives) as peer:
        with pytest.raises(BackupError, match=problem) as raised:
            await fetch(peer, tmp_path / "file", bytes_max=1_000, silence_s_max=0.2)
    assert peer.token not in str(raised.value) + repr(peer)


# ---------------------------------------------------------------- whose it is


async def backup(filled: Filled, folder: Path) -> bytes:
    """One that is sealed with the key of CHAIN."""
    store = LocalStore(folder / "store", chain=CHAIN)
    await store.open()
    await filled(store)
    await write(store, folder / "backup", Keys(), now())
    await store.close()
    return (folder / "backup").read_bytes()


@pytest.mark.parametrize(
    ("filled", "chain", "known", "cut", "problem"),
    [
        (fill, CHAIN, "", 0, ""),
        (fill, CHAIN, WHOSE.id, 0, ""),
        (fill, CHAIN, "0198b0de-0000-7000-8000-00000000ffff", 0, f"installation {WHOSE.id}'s, and this is 0198b0de-"),
        (fill, Chain([b"s" * 32]), "", 0, "which is not known here"),
        (fill, Chain([b"s" * 32]), WHOSE.id, 0, "which is not known here"),
        (fill, CHAIN, "", 3, "torn"),
        (without_audit, CHAIN, "", 0, "can't be relied on: the audit in it is not sound"),
    ],
)
async def test_only_what_is_ours_and_whole_is_taken(
    filled: Filled, chain: Chain, known: str, cut: int, problem: str, tmp_path: Path
) -> None:
    alerts, whole = Alerts(), await backup(filled, tmp_path)
    async with peer_that(file_of(whole[: len(whole) - cut])) as peer:
        rescue = rescue_of(tmp_path / "none", alerts, chain, peer, known)
        source = await rescue.peer()
    taken = [] if source is None else [record async for record in source.records()]
    said = {alert.id: alert.detail for alert in alerts.open()}
    if problem:
        assert source is None
        assert problem in said[NO_PEER]
    else:
        assert source is not None
        assert source.installation == WHOSE
        assert len(taken) > 15
        assert said.keys() == {RESTORED}
    rescue.close()


async def test_an_empty_store_is_filled_from_what_is_nearest(tmp_path: Path) -> None:
    whole = await backup(fill, tmp_path)
    folder = tmp_path / "here" / "backups"
    folder.mkdir(parents=True)
    (folder / f"layout-mutation-20300101T000000Z-{WHOSE.id[:8]}-7.backup").write_bytes(whole)
    said = []
    async with peer_that(file_of(whole)) as peer:
        for number, place in enumerate(("here", "nowhere")):
            store = LocalStore(tmp_path / str(number), chain=CHAIN)
            await store.open()
            rescue = rescue_of(tmp_path / place, Alerts(), CHAIN, peer)
            said += [await rescue.fill(store), await rescue.fill(store)]
            position = await store.position()
            assert position.installation == msgspec.structs.replace(WHOSE, epoch=WHOSE.epoch + 1)
            assert (await verify(store, CHAIN)).sound
            await store.close()
    assert [name[:20] for name in said] == ["the backup layout-mu", "", "the backup of the pe", ""]


async def test_of_several_installations_backups_those_of_the_one_that_ran_here_are_ours(tmp_path: Path) -> None:
    whole = await backup(fill, tmp_path)
    folder = tmp_path / "here" / "backups"
    folder.mkdir(parents=True)
    for whose in (WHOSE.id[:8], "aaaaaaaa"):
        (folder / f"layout-mutation-20300101T000000Z-{whose}-7.backup").write_bytes(whole)
    peer = Peer("none", "http://127.0.0.1:9", "token")
    found = {}
    for known in ("", WHOSE.id, "cccccccc-0000-4000-8000-000000000001"):
        alerts = Alerts()
        source = await rescue_of(tmp_path / "here", alerts, CHAIN, peer, known).backup()
        found[known[:8]] = (source is not None, {alert.id for alert in alerts.open()})
    assert found == {
        "": (False, {IMPOSSIBLE}),
        WHOSE.id[:8]: (True, set()),  # what nobody has taken yet is not restored
        "cccccccc": (False, {IMPOSSIBLE}),
    }


def rescue_of(data_dir: Path, alerts: Alerts, chain: Chain, peer: Peer, known: str = "") -> Rescue:
    return Rescue(
        kept_by({}, data_dir),
        Exchange("redis://127.0.0.1:9", RedisKeys("none")),
        Signer("A" * 43 + "="),
        chain,
        alerts,
        clock=now,
        peers=(peer,),
        known=lambda: known,
    )
