"""A visitor between two sidecars with two workers each: they share keys and nothing else."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.end_to_end.test_proxy_processes import PAGE, Running, keep_snapshot, sidecar
from tests.sidecar.wire import Answer, answering, client, headline, html, origin, table

STEPS = 8
RULES = table(
    headline("{{seen|0}} of 8", pageSlug="/end"),
    headline("All of it", id="all", pageSlug="/end", priority=1, conditions={"tour.completed": True}),
    attributes=[
        {
            "kind": "journey",
            "id": "tour",
            "steps": [{"id": f"s{number}", "pageSlug": f"/{number}"} for number in range(STEPS)],
        },
        {"kind": "counter", "id": "seen", "pageSlug": "/*", "conditions": {"path": {"$ne": "/end"}}},
    ],
)


async def load(running: Running, path: str, cookie: str) -> tuple[Answer, str]:
    """A page over a connection of its own, so that either worker may get it, and the cookie afterwards."""
    async with client(running.port) as visitor:
        answer = await visitor.get(path, "Connection: close", f"Cookie: {cookie}")
    given = [field.decode().partition(";")[0] for field in answer.all(b"Set-Cookie")]
    return answer, given[0] if given else cookie


async def test_any_worker_of_any_sidecar_goes_on_where_another_one_was(tmp_path: Path) -> None:
    settings = keep_snapshot(
        tmp_path / "kept", Ed25519PrivateKey.generate(), RULES, state_keys="shared-" * 5, access_log="true"
    )
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        origin(answering(html(PAGE))) as site,
        sidecar(tmp_path / "one", site.url, **settings) as one,
        sidecar(tmp_path / "two", site.url, **settings) as two,
    ):
        cookie, cookies = "a=b", set[str]()
        for number in range(STEPS):
            answer, _ = await load(one, "/end", cookie)
            assert f"<h1>{number} of 8</h1>".encode() in answer.body
            _, cookie = await load((one, two)[number % 2], f"/{number}", cookie)
            cookies.add(cookie)
        assert len(cookies) == STEPS
        answer, _ = await load(two, "/end", cookie)
        assert b"<h1>All of it</h1>" in answer.body
        logs = one.log.read_text() + two.log.read_text()
        assert logs.count('"request"') >= 2 * STEPS
        assert not [kept for kept in cookies if kept.partition("=")[2] in logs]
