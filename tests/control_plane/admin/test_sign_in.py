"""The door: a link works once and only by its button, and nobody is sent anywhere else."""

import re

import pytest

from control_plane.admin.addresses import PREFIX
from control_plane.admin.visitor import COOKIE
from control_plane.services import Services
from control_plane.tokens import Role
from tests.control_plane.admin.person import Person


def link(services: Services, role: Role = Role.ADMIN) -> str:
    address = services.tokens.sign_in_link("http://any.example", subject="ada", role=role)
    return address.removeprefix("http://any.example")


async def test_opening_the_link_uses_nothing_up_and_the_button_works_once(person: Person, services: Services) -> None:
    address = link(services)
    for _ in range(2):  # a mail scanner and a chat preview
        await person.open(address)
    page = await person.open(address)
    assert page.status == 200
    listed = await person.submit(page, "main form")
    assert (listed.status, listed.words("h1")) == (200, "Mutations")
    again = await person.submit(page, "main form")
    assert again.status == 403
    assert "used before" in again.words("[role=alert]")
    assert [entry.action for entry in (await services.audit.page(kind="session")).items] == ["signed_in"]


async def test_the_cookie_is_for_these_pages_only(person: Person, services: Services) -> None:
    page = await person.open(link(services))
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token is not None
    answer = await person.send(f"{PREFIX}/sign-in", {"token": token[1], "next": PREFIX}, follow=False)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/admin", "Max-Age=43200"):
        assert part in cookie
    assert "Secure" not in cookie  # the tests' service has no TLS; see the next test


@pytest.mark.parametrize("public_url", ["https://mutations.shop.example"])
async def test_over_tls_the_cookie_is_secure(person: Person, services: Services) -> None:
    page = await person.open(link(services))
    token = page.tree.css_first("input[name=token]")
    assert token is not None
    answer = await person.send(f"{PREFIX}/sign-in", {"token": token.attributes["value"] or ""}, follow=False)
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", f"{PREFIX}//evil.example", "/\\evil.example"]
)
async def test_a_sign_in_never_leads_elsewhere(person: Person, services: Services, elsewhere: str) -> None:
    page = await person.open(link(services))
    token = page.tree.css_first("input[name=token]")
    assert token is not None
    sent = {"token": token.attributes["value"] or "", "next": elsewhere}
    answer = await person.send(f"{PREFIX}/sign-in", sent, follow=False)
    assert answer.headers["Location"] == PREFIX


async def test_who_is_not_signed_in_reads_how_to(person: Person) -> None:
    page = await person.open(f"{PREFIX}/new")
    assert page.status == 401
    assert "layout-mutation token --role admin --sign-in" in page.words("pre")
    from_elsewhere = await person.open(f"{PREFIX}/new?type=hide", **{"Sec-Fetch-Site": "cross-site"})
    onward = from_elsewhere.tree.css_first("main a.button")
    assert onward is not None
    assert onward.attributes["href"] == f"{PREFIX}/new?type=hide"


async def test_a_link_for_programs_opens_nothing(person: Person, services: Services) -> None:
    page = await person.open(link(services, Role.SIDECAR))
    answer = await person.submit(page, "main form")
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers


async def test_signing_out_ends_the_session(admin: Person) -> None:
    page = await admin.open()
    out = await admin.submit(page, "form.who")
    assert out.words("h1") == "Sign in"
    assert (await admin.open()).status == 401


async def test_a_forged_or_foreign_token_is_no_session(person: Person, services: Services) -> None:
    bearer = services.tokens.issue(Role.ADMIN, "mallory")
    for value in (bearer, "", "x.y.z", "a" * 10_000):
        person.session.cookie_jar.update_cookies({COOKIE: value}, person.base)
        assert (await person.open()).status in (400, 401)  # 400: a header longer than any
