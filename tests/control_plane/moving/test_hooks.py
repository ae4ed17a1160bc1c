"""Commands around a move, as real processes."""

from pathlib import Path

import pytest

from control_plane.moving import hooks


async def test_it_gets_what_is_told_and_no_shell(tmp_path: Path) -> None:
    await hooks.run(f"sh -c 'cat > \"$1\"' - '{tmp_path}/told; exit 1'", b'{"a":1}')
    assert (tmp_path / "told; exit 1").read_bytes() == b'{"a":1}'
    await hooks.run("", b"")


async def test_one_that_reads_nothing_may_say_yes() -> None:
    await hooks.run("true", b"x" * 1_000_000)


@pytest.mark.parametrize(
    ("command", "problem"),
    [("sh -c 'exit 3'", "'sh' ended with exit code 3"), ("/nowhere/hook", "can't be started: No such file")],
)
async def test_a_no_says_how_it_ended(command: str, problem: str) -> None:
    with pytest.raises(hooks.HookError, match=problem):
        await hooks.run(command, b"{}")


async def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(hooks.HookError, match=r"longer than 0\.2 seconds"):
        await hooks.run("sleep 60", b"{}", seconds_max=0.2)
