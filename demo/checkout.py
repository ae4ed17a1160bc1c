"""What visitors send to the shop: the basket, an order, an address for the newsletter.

Counterpart: `basket` is what is bought, `forgery` says whether a form was ours. Never stores anything: an order is
confirmed and forgotten, and nothing is charged.
"""

import secrets
from collections.abc import Mapping

from aiohttp import hdrs, web

from demo import forgery
from demo.basket import EMPTY, Basket
from demo.rendering import BASKET_COOKIE, CATALOGUE, CSRF_COOKIE, basket_of, page

FIELDS = {
    "email": "Please give an e-mail address, so that we can tell you when the van has left.",
    "name": "Please say whom the parcel is for.",
    "street": "Please give the house and the street.",
    "town": "Please give the town.",
    "postcode": "Please give the postcode.",
}
"""Required fields of the order and what to say where one is missing."""

FIELD_LENGTH_MAX = 120

ADD_ONS = ["burr-infuser", "weather-box", "ember", "peat-and-plum", "sea-fret", "drystone-cups"]


async def checkout(request: web.Request) -> web.Response:
    """`GET /checkout`: the order form."""
    return order_form(request, {}, {})


async def place_order(request: web.Request) -> web.Response:
    """`POST /checkout`: the confirmation, or the form again (422) with a message at each field that needs one."""
    form = await form_of_ours(request)
    entered = {name: form.get(name, "").strip()[:FIELD_LENGTH_MAX] for name in (*FIELDS, "note", "country", "delivery")}
    problems = {name: message for name, message in FIELDS.items() if not entered[name]}
    if entered["email"] and "@" not in entered["email"].strip("@"):
        problems["email"] = "That does not look like an e-mail address: it needs an @ in the middle."
    if problems:
        return order_form(request, entered, problems, status=422)
    ordered = basket_of(request)
    if not ordered.lines:
        raise web.HTTPSeeOther("/checkout")
    number = f"LM-{secrets.randbelow(900_000) + 100_000}"
    emptied = Basket({}, request.app[CATALOGUE])
    response = page(
        request,
        "confirmation.html",
        layout="confirmation",
        basket=emptied,
        ordered=ordered,
        entered=entered,
        number=number,
    )
    response.set_cookie(BASKET_COOKIE, EMPTY, path="/", httponly=True, samesite="Lax", secure=request.secure)
    return response


async def change_basket(request: web.Request) -> web.Response:
    """`POST /basket` with `slug` and `change`, `add` or `remove`; then to the checkout."""
    form = await form_of_ours(request)
    slug, catalogue = form.get("slug", ""), request.app[CATALOGUE]
    if slug not in catalogue.products:
        raise web.HTTPNotFound
    counts = {line.product.slug: line.quantity for line in basket_of(request).lines}
    if form.get("change") == "remove":
        counts.pop(slug, None)
    else:
        counts[slug] = counts.get(slug, 0) + 1
    response = web.Response(status=303, headers={hdrs.LOCATION: "/checkout"})
    cookie = Basket(counts, catalogue).cookie()
    response.set_cookie(BASKET_COOKIE, cookie, path="/", httponly=True, samesite="Lax", secure=request.secure)
    return response


async def subscribe(request: web.Request) -> web.Response:
    """`POST /newsletter`: a word of thanks."""
    await form_of_ours(request)
    return page(
        request,
        "notice.html",
        layout="notice",
        title="The first letter is on its way",
        kicker="Thank you",
        text="We write once a month, usually on a wet Sunday. Nothing was kept: this is a demonstration shop, and Biscuit "
        "has eaten the list.",
        picks=request.app[CATALOGUE].pick(ADD_ONS),
    )


async def cart(request: web.Request) -> web.Response:
    """`/api/cart`: the basket as JSON; prices in pence."""
    basket = basket_of(request)
    lines = [
        {"slug": line.product.slug, "name": line.product.name, "quantity": line.quantity, "pence": line.pence}
        for line in basket.lines
    ]
    body = {
        "lines": lines,
        "count": basket.count,
        "goodsPence": basket.goods_pence,
        "deliveryPence": basket.delivery_pence,
        "totalPence": basket.total_pence,
        "currency": "GBP",
    }
    return web.json_response(body, headers={"Cache-Control": "no-store"})


def order_form(
    request: web.Request, entered: Mapping[str, str], problems: Mapping[str, str], status: int = 200
) -> web.Response:
    """The checkout with what was entered and what is wrong with it."""
    inside = {line.product.slug for line in basket_of(request).lines}
    return page(
        request,
        "checkout.html",
        layout="checkout",
        status=status,
        entered=entered,
        problems=problems,
        countries=request.app[CATALOGUE].destinations,
        add_ons=[product for product in request.app[CATALOGUE].pick(ADD_ONS) if product.slug not in inside][:4],
    )


async def form_of_ours(request: web.Request) -> dict[str, str]:
    """The text fields of a form that one of our pages sent; 403 for any other form."""
    sent = await request.post()
    form = {name: value for name, value in sent.items() if isinstance(value, str)}
    if not forgery.is_ours(form.get("csrf", ""), request.cookies.get(CSRF_COOKIE, "")):
        raise web.HTTPForbidden
    return form
