"""What pages say about themselves to machines: JSON-LD in the schema.org vocabulary. Pure.

Counterpart: `templates/frame.html` writes it into the head. Never says more than the page shows.
"""

from typing import Any

from demo.catalogue import Article, Product, Review

CONTEXT = "https://schema.org"


def store() -> dict[str, Any]:
    """The shop itself, on every page."""
    return {
        "@context": CONTEXT,
        "@type": "Store",
        "name": "Larkmoor Tea",
        "slogan": "Tea for every sort of weather",
        "currenciesAccepted": "GBP",
        "openingHours": "Mo-Sa 09:00-17:00",
        "address": {
            "@type": "PostalAddress",
            "streetAddress": "The Old Waiting Room",
            "addressLocality": "Larkmoor",
            "addressCountry": "GB",
        },
    }


def product_list(name: str, products: list[Product]) -> dict[str, Any]:
    """A shelf or a selection."""
    elements = [
        {"@type": "ListItem", "position": position, "item": _product(product)}
        for position, product in enumerate(products, start=1)
    ]
    return {"@context": CONTEXT, "@type": "ItemList", "name": name, "itemListElement": elements}


def product_page(product: Product) -> dict[str, Any]:
    """One product with its reviews."""
    rating = {"@type": "AggregateRating", "ratingValue": round(product.rating, 1), "reviewCount": len(product.reviews)}
    said = [_review(review) for review in product.reviews]
    return {"@context": CONTEXT, **_product(product), "aggregateRating": rating, "review": said}


def posting(article: Article) -> dict[str, Any]:
    """One entry of the journal."""
    return {
        "@context": CONTEXT,
        "@type": "BlogPosting",
        "headline": article.title,
        "description": article.summary,
        "datePublished": article.date.isoformat(),
        "author": {"@type": "Person", "name": article.author},
        "image": f"/static/articles/{article.slug}.svg",
        "commentCount": len(article.comments),
    }


def _product(product: Product) -> dict[str, Any]:
    return {
        "@type": "Product",
        "name": product.name,
        "sku": product.slug,
        "description": product.strapline,
        "url": f"/product/{product.slug}",
        "image": f"/static/products/{product.slug}.svg",
        "brand": {"@type": "Brand", "name": "Larkmoor"},
        "offers": {
            "@type": "Offer",
            "price": f"{product.price_pence / 100:.2f}",
            "priceCurrency": "GBP",
            "availability": f"{CONTEXT}/InStock",
        },
    }


def _review(review: Review) -> dict[str, Any]:
    return {
        "@type": "Review",
        "author": {"@type": "Person", "name": review.author},
        "datePublished": review.date.isoformat(),
        "name": review.title,
        "reviewBody": review.text,
        "reviewRating": {"@type": "Rating", "ratingValue": review.stars},
    }
