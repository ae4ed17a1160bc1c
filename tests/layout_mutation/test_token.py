"""Tokens and sign-in links that the control plane takes, for whom and as long as was asked."""

import time
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from control_plane.tokens import ALGORITHM, Role, Tokens
from layout_mutation.keyring import load
from tests.layout_mutation.typed import CommandLine

SECRET = "a secret of more than thirty-two characters"
HERE = {"CONTROL_PLANE_JWT_SECRET": SECRET}


def lifetime(token: str) -> int:
    claims = jwt.decode(token, SECRET, algorithms=[ALGORITHM], options={"verify_aud": False})
    assert abs(claims["iat"] - time.time()) < 60
    return int(claims["exp"] - claims["iat"])


@pytest.mark.parametrize("role", Role)
def test_every_role_gets_a_token_that_the_control_plane_takes(run: CommandLine, role: Role) -> None:
    ran = run("token", "--role", role, environment=HERE)
    assert (ran.code, ran.err, ran.text.count("\n")) == (0, "", 1)
    actor = Tokens(SECRET).verify(ran.text.strip())
    assert (actor.role, actor.subject) == (role, "command-line")
    assert lifetime(ran.text.strip()) == 3600


@pytest.mark.parametrize(("ttl", "seconds"), [("90s", 90), ("30m", 1800), ("8h", 28_800), ("366d", 31_622_400)])
def test_a_token_lives_as_long_as_was_asked(run: CommandLine, ttl: str, seconds: int) -> None:
    ran = run("token", "--role", "editor", "--subject", "anna", "--ttl", ttl, environment=HERE)
    assert lifetime(ran.text.strip()) == seconds
    assert Tokens(SECRET).verify(ran.text.strip()).subject == "anna"


@pytest.mark.parametrize("ttl", ["8", "h", "", "1w", "1.5h", "0h", "367d", "9" * 5000 + "d"])
@pytest.mark.parametrize("kind", [(), ("--sign-in",)])
def test_a_lifetime_that_is_none_is_refused(run: CommandLine, ttl: str, kind: tuple[str, ...]) -> None:
    ran = run("token", "--role", "editor", f"--ttl={ttl}", *kind, environment=HERE)
    assert ran.is_one_error(2)
    assert ran.err.startswith("error: --ttl ")
    assert len(ran.err) < 200


@pytest.mark.parametrize("subject", ["", "a" * 201])
def test_a_subject_that_the_audit_log_could_not_hold_is_refused(run: CommandLine, subject: str) -> None:
    ran = run("token", "--role", "editor", "--subject", subject, environment=HERE)
    assert ran.is_one_error(2)
    assert "subject" in ran.err


@pytest.mark.parametrize("environment", [{}, {"CONTROL_PLANE_JWT_SECRET": ""}, {"CONTROL_PLANE_JWT_SECRET": "hunter2"}])
def test_without_a_secret_that_a_control_plane_takes_there_is_no_token(
    run: CommandLine, environment: Mapping[str, str]
) -> None:
    ran = run("token", "--role", "editor", environment=environment)
    assert ran.is_one_error(2)
    assert "CONTROL_PLANE_JWT_SECRET" in ran.err
    assert "hunter2" not in ran.err


def test_a_role_is_required_and_one_of_a_list(run: CommandLine) -> None:
    for words in (("token",), ("token", "--role", "king")):
        ran = run(*words, environment=HERE)
        assert (ran.code, ran.out) == (2, b"")
        assert "--role" in ran.err


NAMED = {**HERE, "CONTROL_PLANE_JWT_ISSUER": "us", "CONTROL_PLANE_JWT_AUDIENCE": "them"}


def test_a_sign_in_link_is_for_whom_it_says(run: CommandLine) -> None:
    there = {**NAMED, "CONTROL_PLANE_PUBLIC_URL": "https://mutations.example/"}
    for words, seconds in (((), 900), (("--ttl", "5m"), 300)):
        ran = run("token", "--role", "admin", "--subject", "anna", "--sign-in", *words, environment=there)
        address = urlsplit(ran.text.strip())
        assert address.geturl().startswith("https://mutations.example/admin/layout-mutations/sign-in?token=")
        (token,) = parse_qs(address.query)["token"]
        actor = Tokens(SECRET, issuer="us", audience="them").read_sign_in(token).actor
        assert (actor.subject, actor.role) == ("anna", Role.ADMIN)
        assert lifetime(token) == seconds


def test_issuer_and_audience_are_those_of_the_control_plane(run: CommandLine) -> None:
    ran = run("token", "--role", "viewer", environment=NAMED)
    assert Tokens(SECRET, issuer="us", audience="them").verify(ran.text.strip()).role is Role.VIEWER
    empty = {**HERE, "CONTROL_PLANE_JWT_ISSUER": "", "CONTROL_PLANE_JWT_AUDIENCE": ""}
    assert Tokens(SECRET).verify(run("token", "--role", "viewer", environment=empty).text.strip()).role is Role.VIEWER


def test_the_secret_of_a_data_folder_is_found(run: CommandLine) -> None:
    (run.folder / "data").mkdir()
    secret = load(run.folder / "data" / ".env", {})["CONTROL_PLANE_JWT_SECRET"]
    ran = run("token", "--role", "viewer", "--data-dir", "data")
    assert Tokens(secret).verify(ran.text.strip()).role is Role.VIEWER
