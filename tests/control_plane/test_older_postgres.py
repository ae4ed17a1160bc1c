"""Every PostgreSQL that is supported, from 15 on, and what may stand in between: the same service, no difference to be seen."""

from pathlib import Path

from control_plane.schema.runner import migrate, plan
from tests.control_plane.plane import headline, running, settings_of


async def test_the_control_plane_works_on_it(
    postgres_kind_url: str, redis_url: str, redis_environment: str, tmp_path: Path
) -> None:
    steps = await migrate(postgres_kind_url)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert not (await plan(postgres_kind_url)).pending
    async with running(settings_of(postgres_kind_url, redis_url, redis_environment, tmp_path / "data")) as plane:
        created = await plane.ask("POST", "mutations", headline(id="anywhere"))
        assert (created.status, created.json()["publication"]["published"]) == (201, True)
        assert (await plane.ask("POST", "mutations/anywhere/deactivate")).json()["isActive"] is False
        versions = (await plane.ask("GET", "mutations/anywhere/versions")).json()
        assert len(versions["items"]) == 2
