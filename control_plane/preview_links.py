"""Links that show a draft, or a variation, on the site itself: to whoever has one, for an hour, and to nobody else.

The link carries all that it shows, signed with the key of tables; sidecars ask nobody. Counterparts: `rules.previews` is the
token, `sidecar.previews` shows it; `admin/preview.py` offers the link to those who may write.
Never: anything saved or published, a redirect, or a link longer than addresses are taken.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from control_plane.company import company, needed
from control_plane.origin_pages import ANY_SITE
from control_plane.signing import Signer
from control_plane.store import Store
from rules.model import LayoutMutation, RedirectMutation, RulesFile, Status
from rules.previews import PARAMETER, Preview

SECONDS = 3600
"""How long a link shows something: long enough to look and to ask a colleague."""


class PreviewLinks:
    """Makes links."""

    def __init__(
        self, store: Store, signer: Signer, *, site_urls: Mapping[str, str], clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._signer = signer
        self._site_urls = site_urls
        self._clock = clock

    async def link(self, site: str, address: str, *, draft: LayoutMutation | None, forced: Mapping[str, str]) -> str:
        """Where `address`, a path with a query, of `site` is shown so.

        Raises:
            ValueError: there can be no link; the message says why.
            StoreError: what the draft refers to can't be read.
        """
        base = self._base(site)
        if isinstance(draft, RedirectMutation):
            raise ValueError(  # noqa: TRY004 - it is what the draft is for, not its type, that is in the way
                "A redirect is not shown on the site: such a link could send people anywhere"
            )
        rules = b"" if draft is None else msgspec.json.encode(await self._rules(draft))
        expires_at = int(self._clock().timestamp()) + SECONDS
        try:
            token = self._signer.seal_preview(Preview(expires_at, dict(forced), rules))
        except ValueError as error:
            raise ValueError(f"The mutation is too large for a link: {error}") from None
        shown = address.partition("#")[0]
        return f"{base}{shown}{'&' if '?' in shown else '?'}{PARAMETER}={token}"

    def _base(self, site: str) -> str:
        known = self._site_urls.get(site) or self._site_urls.get(ANY_SITE)
        if known is None and site in ("", ANY_SITE):
            raise ValueError("CONTROL_PLANE_SITE_URLS does not say where visitors reach the site")
        return (known or f"https://{site}").rstrip("/")

    async def _rules(self, draft: LayoutMutation) -> RulesFile:
        """The draft as if it were on, and what it refers to. Attributes and toggles are in every table already."""
        status = draft.status if draft.status is Status.EXPERIMENTAL else Status.ACTIVE
        shown = msgspec.structs.replace(draft, is_active=True, status=status)
        rules = needed(msgspec.structs.replace(await company(self._store, shown), mutations=[shown]))
        return msgspec.structs.replace(rules, attributes=[], toggles=[])
