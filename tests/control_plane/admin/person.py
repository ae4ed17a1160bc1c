"""A person without JavaScript: opens pages, fills in their forms and sends them, over real HTTP.

Counterpart: a browser (`tests/browser`) does the same with scripts. Never: a field that the page didn't have, unless a
test says so on purpose.
"""

from collections.abc import Mapping
from urllib.parse import urlencode, urljoin

import aiohttp
from msgspec import Struct
from multidict import CIMultiDictProxy
from selectolax.lexbor import LexborHTMLParser, LexborNode
from yarl import URL

from control_plane.admin.addresses import PREFIX
from control_plane.tokens import Role, Tokens

Fields = Mapping[str, str | list[str]]


class Seen(Struct, frozen=True):
    """A page that was opened."""

    url: str
    status: int
    text: str
    headers: CIMultiDictProxy[str]

    @property
    def tree(self) -> LexborHTMLParser:
        return LexborHTMLParser(self.text)

    def words(self, selector: str = "main") -> str:
        """The text of the first element that matches, white space collapsed; empty if there is none."""
        node = self.tree.css_first(selector)
        return "" if node is None else " ".join(node.text().split())

    def all_words(self, selector: str) -> list[str]:
        return [" ".join(node.text().split()) for node in self.tree.css(selector)]


class Person:
    """Somebody with a browser of their own."""

    def __init__(self, base: URL, tokens: Tokens) -> None:
        self.base = base
        self._tokens = tokens
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def sign_in(self, role: Role = Role.ADMIN, subject: str = "") -> "Person":
        """With a link of one's own."""
        link = URL(self._tokens.sign_in_link(str(self.base), subject=subject or role.value, role=role))
        page = await self.submit(await self.open(link.raw_path_qs), "main form")
        assert page.status == 200, page.words()
        return self

    async def word(self) -> str:
        """The word that this session's forms carry."""
        node = (await self.open()).tree.css_first("input[name=csrf]")
        assert node is not None
        return node.attributes.get("value") or ""

    async def open(self, address: str = PREFIX, **headers: str) -> Seen:
        async with self.session.get(self.base.join(URL(address, encoded=True)), headers=headers) as response:
            return await _seen(response)

    async def send(
        self, address: str, fields: Fields, headers: Mapping[str, str] | None = None, *, follow: bool = True
    ) -> Seen:
        """POST a form as a browser on one of the pages does."""
        given = {"Origin": str(self.base.origin()), "Sec-Fetch-Site": "same-origin", **(headers or {})}
        body = urlencode(fields, doseq=True)
        given["Content-Type"] = "application/x-www-form-urlencoded"
        url = self.base.join(URL(address, encoded=True))
        async with self.session.post(url, data=body, headers=given, allow_redirects=follow) as response:
            return await _seen(response)

    async def submit(self, page: Seen, form: str, changed: Fields | None = None, *, button: str | None = None) -> Seen:
        """Fill in a form of the page and press a button: `button` is its value (`do`), else the first one."""
        node = page.tree.css_first(form)
        assert node is not None, f"no {form} on {page.url}: {page.words()}"
        fields = form_fields(node)
        for name in changed or {}:
            assert name in fields or node.css_first(f'[name="{name}"]') is not None, f"the form has no {name}"
        address = node.attributes.get("action") or page.url
        if button is not None:
            pressed = next(one for one in node.css("button") if one.attributes.get("value") == button)
            fields["do"] = button
            address = pressed.attributes.get("formaction") or address
        return await self.send(urljoin(page.url, address), {**fields, **(changed or {})})

    async def close(self) -> None:
        await self.session.close()


def form_fields(form: LexborNode) -> dict[str, str | list[str]]:
    """What a browser would send for a form that nobody touched (HTML standard, 4.10.22.4)."""
    found: dict[str, str | list[str]] = {}
    for node in form.css("input, textarea, select"):
        attributes = node.attributes
        name = attributes.get("name")
        if not name:
            continue
        if node.tag == "textarea":
            found[name] = node.text().removeprefix("\n")
        elif node.tag == "select":
            chosen = node.css_first("option[selected]") or node.css_first("option")
            found[name] = (chosen.attributes.get("value") or "") if chosen is not None else ""
        elif attributes.get("type") in ("checkbox", "radio"):
            if "checked" in attributes:
                value = attributes.get("value") or "on"
                before = found.get(name)
                found[name] = value if before is None else [*([before] if isinstance(before, str) else before), value]
        else:
            found[name] = attributes.get("value") or ""
    return found


async def _seen(response: aiohttp.ClientResponse) -> Seen:
    return Seen(str(response.url), response.status, await response.text(), response.headers)
