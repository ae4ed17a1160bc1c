"""The pages of the shop that a visitor reads: home, shelves, products, the quiz and the journal.

Counterpart: `checkout` takes what is sent to the shop; `peculiar` has the pages that are awkward on purpose. Never
writes HTML: that is what `templates/` is for.
"""

import gzip

from aiohttp import hdrs, web

from demo import linked_data
from demo.quiz import QUESTIONS, outcome_of
from demo.rendering import CATALOGUE, page

BEST_SELLERS = [
    "moorland-breakfast",
    "weather-box",
    "sea-fret",
    "ember",
    "wren-teapot",
    "earl-of-the-fells",
    "first-frost",
    "hush",
]
GZIP_LEVEL = 6


async def home(request: web.Request) -> web.Response:
    """`/`"""
    catalogue = request.app[CATALOGUE]
    best = catalogue.pick(BEST_SELLERS)
    articles = list(catalogue.articles.values())[:3]
    about = linked_data.product_list("Most often in the pot", best)
    return page(
        request, "home.html", layout="home", about=about, offers=catalogue.offers(), best=best, articles=articles
    )


async def category(request: web.Request) -> web.Response:
    """`/category/{slug}`"""
    catalogue = request.app[CATALOGUE]
    shelf = catalogue.categories.get(request.match_info["slug"])
    if shelf is None:
        raise web.HTTPNotFound
    products = catalogue.shelf(shelf.slug)
    others = [product for product in catalogue.pick(BEST_SELLERS) if product.category != shelf.slug][:4]
    about = linked_data.product_list(shelf.name, products)
    return page(
        request, "category.html", layout="category", about=about, category=shelf, products=products, others=others
    )


async def product(request: web.Request) -> web.Response:
    """`/product/{slug}`"""
    catalogue = request.app[CATALOGUE]
    item = catalogue.products.get(request.match_info["slug"])
    if item is None:
        raise web.HTTPNotFound
    return page(
        request,
        "product.html",
        layout="product",
        about=linked_data.product_page(item),
        product=item,
        category=catalogue.categories[item.category],
        companions=catalogue.companions(item, 8),
        mentions=[article for article in catalogue.articles.values() if item.slug in article.products],
    )


async def quiz(request: web.Request) -> web.Response:
    """`/quiz`: a form whose answers go into the address."""
    return page(
        request, "quiz.html", layout="quiz", questions=QUESTIONS, best=request.app[CATALOGUE].pick(BEST_SELLERS)
    )


async def quiz_result(request: web.Request) -> web.Response:
    """`/quiz/result?window=…&hour=…`: back to the questions where none was answered."""
    outcome = outcome_of(request.query)
    if outcome is None:
        raise web.HTTPSeeOther("/quiz")
    catalogue = request.app[CATALOGUE]
    chosen = catalogue.pick(outcome.products)
    answers = [
        (question, option)
        for question in QUESTIONS
        for option in question.options
        if request.query.get(question.name) == option.value
    ]
    more = [item for item in catalogue.pick(BEST_SELLERS) if item not in chosen][:6]
    return page(
        request, "quiz_result.html", layout="quiz-result", outcome=outcome, chosen=chosen, answers=answers, more=more
    )


async def blog(request: web.Request) -> web.Response:
    """`/blog`"""
    catalogue = request.app[CATALOGUE]
    articles = list(catalogue.articles.values())
    response = page(request, "blog.html", layout="blog", articles=articles, best=catalogue.pick(BEST_SELLERS)[:4])
    return compressed(request, response)


async def article(request: web.Request) -> web.Response:
    """`/blog/{slug}`"""
    catalogue = request.app[CATALOGUE]
    entry = catalogue.articles.get(request.match_info["slug"])
    if entry is None:
        raise web.HTTPNotFound
    response = page(
        request,
        "article.html",
        layout="article",
        about=linked_data.posting(entry),
        article=entry,
        mentioned=catalogue.pick(entry.products),
        others=[other for other in catalogue.articles.values() if other is not entry],
    )
    return compressed(request, response)


def compressed(request: web.Request, response: web.Response) -> web.Response:
    """The response in gzip if the client takes it (RFC 9110 12.5.3); it varies by that either way."""
    response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    if accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
        assert isinstance(response.body, bytes)
        response.body = gzip.compress(response.body, GZIP_LEVEL, mtime=0)
        response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    return response


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip, or failing that `*`, is named in Accept-Encoding with a weight above 0 (RFC 9110 12.5.3)."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, value = parameter.partition("=")
        try:
            weights[coding.strip()] = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            weights[coding.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0
