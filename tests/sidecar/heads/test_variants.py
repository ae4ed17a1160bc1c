"""Variants: found for a request, or not at all; and what the caches are told in both cases."""

import pytest
from multidict import CIMultiDict

from sidecar.cache_variants import Variants
from sidecar.heads import variants
from sidecar.heads.headers import Field

TWO = Variants(
    control="X-Accel-Expires",
    axes={"X-Country": frozenset({"DE", "AT"}), "X-Device": frozenset({"mobile", "desktop"})},
    sources={"country": ("X-Country",), "headers": ("X-Device",)},
)
PUBLIC: list[Field] = [(b"Cache-Control", b"public, max-age=60"), (b"Vary", b"Accept-Encoding")]
PRIVATE: list[Field] = [(b"Vary", b"Accept-Encoding"), (b"Cache-Control", b"private, max-age=60")]


def asked(*fields: tuple[str, str]) -> CIMultiDict[str]:
    return CIMultiDict([("Host", "a"), *fields])


DE_MOBILE = asked(("x-country", "DE"), ("X-Device", " mobile "))


def test_only_what_the_decision_read_tells_variants_apart() -> None:
    assert variants.axes_of(TWO, {"country"}) == ("X-Country",)
    assert variants.axes_of(TWO, ["headers", "country"]) == ("X-Country", "X-Device")
    assert variants.axes_of(TWO, {"country", "cookies"}) is None
    assert variants.axes_of(TWO, set()) == ()


@pytest.mark.parametrize(
    "given",
    [
        asked(("X-Country", "DE")),
        asked(("X-Country", "FR"), ("X-Device", "mobile")),
        asked(("X-Country", "de"), ("X-Device", "mobile")),
        asked(("X-Country", "DE"), ("X-Country", "DE"), ("X-Device", "mobile")),
        asked(("X-Country", "DE, AT"), ("X-Device", "mobile")),
    ],
)
def test_no_key_without_one_declared_value_of_each_field(given: CIMultiDict[str]) -> None:
    assert variants.key_of(TWO, ("X-Country", "X-Device"), given) is None
    assert variants.for_a_variant(PUBLIC, TWO, {"country", "headers"}, given) == PRIVATE


def test_a_variant_is_for_the_cache_that_knows_of_it_and_for_no_other() -> None:
    assert variants.for_a_variant(PUBLIC, TWO, {"country", "headers"}, DE_MOBILE) == [
        (b"X-Accel-Expires", b"60"),
        PRIVATE[1],
        (b"Vary", b"Accept-Encoding, X-Country, X-Device"),
        (b"X-Layout-Mutation-Variant", b"X-Country=DE, X-Device=mobile"),
    ]


@pytest.mark.parametrize("control", ["CDN-Cache-Control", "Surrogate-Control"])
def test_a_field_with_directives(control: str) -> None:
    given = Variants(control=control, axes=TWO.axes, sources=TWO.sources)  # type: ignore[arg-type]
    fields = variants.for_a_variant(
        [*PUBLIC, (control.encode(), b"max-age=300, content=x"), (b"Age", b"40")], given, {"country"}, DE_MOBILE
    )
    assert fields[0] == (control.encode(), b"max-age=260")
    assert (b"X-Layout-Mutation-Variant", b"X-Country=DE") in fields
    assert sum(name == control.encode() for name, _ in fields) == 1


@pytest.mark.parametrize(
    ("fields", "reads", "request_fields"),
    [
        (PUBLIC, {"country", "cookies"}, ()),
        (PUBLIC, set(), ()),
        (PUBLIC, {"country"}, (("Authorization", "Basic x"),)),
        ([(b"Cache-Control", b"private, max-age=60"), (b"Vary", b"Accept-Encoding")], {"country"}, ()),
        ([*PUBLIC, (b"Set-Cookie", b"a=b")], {"country"}, ()),
        ([*PUBLIC, (b"Vary", b"*")], {"country"}, ()),
        ([(b"Vary", b"Accept-Encoding")], {"country"}, ()),
    ],
)
def test_for_one_visitor_where_anything_else_decided_or_the_origin_closes(
    fields: list[Field], reads: set[str], request_fields: tuple[tuple[str, str], ...]
) -> None:
    request = asked(("X-Country", "DE"), *request_fields)
    told = variants.for_a_variant(fields, TWO, reads, request)
    assert not {b"X-Accel-Expires", variants.KEY_FIELD} & {name for name, _ in told}
    assert any(name == b"Cache-Control" and value.startswith(b"private") for name, value in told)
