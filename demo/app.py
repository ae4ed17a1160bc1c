"""The shop as an aiohttp application: every address, and what is built once for all of them.

Counterpart: `__main__` listens. Never does anything at import.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from demo import assets, checkout, pages, peculiar
from demo.catalogue import load_catalogue
from demo.rendering import CATALOGUE, TEMPLATES, create_templates, hand_out_secret, page

CHUNK_PAUSE_S = 0.2
FORM_BYTES_MAX = 32 * 1024

ROUTES = (
    web.get("/", pages.home),
    web.get("/category/{slug}", pages.category),
    web.get("/product/{slug}", pages.product),
    web.get("/quiz", pages.quiz),
    web.get("/quiz/result", pages.quiz_result),
    web.get("/blog", pages.blog),
    web.get("/blog/{slug}", pages.article),
    web.get("/checkout", checkout.checkout),
    web.post("/checkout", checkout.place_order),
    web.post("/basket", checkout.change_basket),
    web.post("/newsletter", checkout.subscribe),
    web.get("/api/cart", checkout.cart),
    web.get("/account", peculiar.account),
    web.get("/slow", peculiar.slow),
    web.get("/utf-16", peculiar.utf_16),
    web.get("/latin-1", peculiar.latin_1),
    web.get("/events", peculiar.events),
    web.get("/download", peculiar.download),
    web.get("/static/{path:.+}", assets.static),
)

REFUSALS = {
    404: {
        "kicker": "Error 404",
        "title": "There is only heather here",
        "text": "The path you followed stops at this wall. The address may be misspelt, or the tin may have sold out and "
        "taken its page with it. The way back to the house is the one you came by.",
    },
    403: {
        "kicker": "Error 403",
        "title": "We did not recognise that form",
        "text": "It may have been open for a very long time, or your browser may be refusing cookies. Please go back, "
        "reload the page and send it again. Nothing was ordered.",
    },
}


async def unhurried() -> None:
    """The pause of the open shop: fourteen of them make `/slow` take about three seconds."""
    await asyncio.sleep(CHUNK_PAUSE_S)


def build_app(chunk_pause: peculiar.ChunkPause = unhurried) -> web.Application:
    """The shop. `chunk_pause()` is awaited before each later chunk of `/slow`."""
    app = web.Application(middlewares=[refusals], client_max_size=FORM_BYTES_MAX)
    catalogue = load_catalogue()
    app[CATALOGUE] = catalogue
    app[TEMPLATES] = create_templates(catalogue)
    app[assets.ASSETS] = assets.collect_assets(catalogue, app[TEMPLATES])
    app[peculiar.CHUNK_PAUSE] = chunk_pause
    app.on_response_prepare.append(hand_out_secret)
    app.add_routes(ROUTES)
    return app


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page of the shop, rather than a line of text, where there is nothing (404) or a form was not ours (403)."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPForbidden) as refusal:
        wording = REFUSALS[refusal.status]
        picks = request.app[CATALOGUE].pick(pages.BEST_SELLERS)
        return page(request, "notice.html", layout="notice", status=refusal.status, picks=picks, **wording)
