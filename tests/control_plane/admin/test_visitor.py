"""Who is looking: nobody without a session, and nobody more than their role."""

from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from control_plane.admin.visitor import SESSION, actor_of, require, session_of
from control_plane.tokens import Actor, Permission, Role, Session


def signed_in(role: Role) -> web.Request:
    request = make_mocked_request("GET", "/admin")
    request[SESSION] = Session(Actor("ada", role), "id", datetime(2027, 1, 1, tzinfo=UTC))
    return request


def test_nobody_is_signed_in_at_first() -> None:
    request = make_mocked_request("GET", "/admin")
    assert session_of(request) is None
    with pytest.raises(web.HTTPForbidden):
        actor_of(request)


@pytest.mark.parametrize(("role", "allowed"), [(Role.VIEWER, False), (Role.EDITOR, True), (Role.ADMIN, True)])
def test_a_role_may_what_it_may(role: Role, allowed: bool) -> None:
    request = signed_in(role)
    if allowed:
        assert require(request, Permission.WRITE).subject == "ada"
    else:
        with pytest.raises(web.HTTPForbidden) as refused:
            require(request, Permission.WRITE)
        assert "viewer" in (refused.value.text or "")
