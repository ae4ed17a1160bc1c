"""What an origin says of its page: found where a browser's parser has it, and nowhere else."""

import json
from typing import Any

import pytest
import turbohtml
from hypothesis import example, given
from hypothesis import strategies as st

from rules import limits
from rules.html.handed_over import HandedOver, handed_over, in_header

META = '<meta name="layout-mutation:{}" content="{}">'
FOUND = META.format("a", "1")


def said(page: str | bytes, charset: str | None = "utf-8", header: tuple[str, ...] = ()) -> dict[str, Any]:
    return handed_over(page.encode() if isinstance(page, str) else page, charset=charset, header=header).attributes


def island(text: str, attributes: str = "data-layout-attributes") -> str:
    return f'<script type="application/json" {attributes}>{text}</script>'


@pytest.mark.parametrize(
    "page",
    [
        FOUND,
        "<META CONTENT=1 NAME=layout-mutation:a>",
        "<meta\n/name='layout-mutation:a'\tcontent = '1'/>",
        "<meta name=layout-mutation:a name=layout-mutation:b content=1 content=2>",
        f"<body><p>{FOUND}",
        f"<!-- > --><title>a</title>{FOUND}",
        f"<!-->{FOUND}",
        f"<!--->{FOUND}",
        f"<!-- x --!>{FOUND}",
        f"<!x>{FOUND}",
        f"</>{FOUND}",
        f"</ {FOUND[1:]}>{FOUND}",
        f"a < b{FOUND}",
        f"<a b=c'd\">{FOUND}",
        f"<a b=>{FOUND}",
        f"<a ='>{FOUND}",
        f"<script>1</script>{FOUND}",
        f"<script><!-- <script></script> --></script>{FOUND}",
        f"<script><!-- <script> --> </script>{FOUND}",
        f"<script><script></script>{FOUND}",
        f"<template><p></template>{FOUND}",
        f"<svg><title/><style/></svg>{FOUND}",
        f"<textarea></textareas></textarea>{FOUND}",
        FOUND + META.format("a", "2"),
    ],
)
def test_a_meta_that_is_there(page: str) -> None:
    assert said(page) == {"a": "1"}


@pytest.mark.parametrize(
    "page",
    [
        f"<!-- {FOUND} -->",
        f"<!-- {FOUND}",
        f"<!-- > {FOUND} -->",
        f"<title>{FOUND}</title>",
        f"<textarea>{FOUND}</textarea>",
        f"<style>{FOUND}</style>",
        f"<noscript>{FOUND}</noscript>",
        f"<iframe>{FOUND}</iframe>",
        f"<script>{FOUND}</script>",
        f"<script><!-- <script> </script> {FOUND} --></script>",
        f"<template>{FOUND}</template>",
        f"<template><template></template>{FOUND}</template>",
        f"<p title='{FOUND}'>",
        f"<p title={FOUND.replace(' ', '_').replace('>', '')}>",
        f'<p title="{FOUND.replace(chr(34), chr(39))}',
        f'<p title="x>{FOUND.replace(chr(34), chr(39))}',
        f"<plaintext>{FOUND}",
        f"<? {FOUND.replace('>', '')}>",
        "<metas name=layout-mutation:a content=1>",
        "</meta name=layout-mutation:a content=1>",
        "<meta name=layout-mutation: content=1>",
        "<meta name='layout-mutation:a b' content=1>",
        "<meta name=Layout-Mutation:a content=1>",
        "<meta property=layout-mutation:a content=1>",
        META.format("a", "x" * (limits.ATTRIBUTE_CHARACTERS_MAX + 1)),
        "<meta name=layout-mutation:a content=1",
        "",
    ],
)
def test_a_meta_that_is_not(page: str) -> None:
    assert said(page) == {}


def test_header_island_and_metas_add_up() -> None:
    page = META.format("a", "meta") + META.format("b", "meta") + META.format("c", "meta")
    page += island('{"b": "island", "c": "island", "d": [1, {"e": null}]}') + island('{"b": "second"}')
    assert said(page, header=('{"c": "header"}',)) == {
        "a": "meta",
        "b": "island",
        "c": "header",
        "d": [1, {"e": None}],
    }


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", "{", '{"a": 1} x', '{"a": NaN}', "[" * 2000, '{"a":"' + "x" * limits.HANDED_OVER_BYTES_MAX + '"}'],
)
def test_an_island_that_is_no_object_is_refused(text: str) -> None:
    assert handed_over(island(text).encode(), charset="utf-8") == HandedOver({}, ("island",))
    assert in_header((text,)) == HandedOver({}, ("header",))


def test_more_names_than_a_page_has() -> None:
    names = {f"n{number}": number for number in range(limits.HANDED_OVER_NAMES_MAX + 1)}
    assert in_header((json.dumps(names),)).refused == ("header",)
    names.popitem()
    assert in_header((json.dumps(names),)).attributes == names
    metas = "".join(META.format(f"n{number}", number) for number in range(limits.HANDED_OVER_NAMES_MAX + 1))
    assert len(said(metas)) == limits.HANDED_OVER_NAMES_MAX


def test_two_headers_are_none() -> None:
    assert in_header(('{"a": 1}', '{"a": 1}')) == HandedOver({}, ("header",))
    assert in_header(()) == HandedOver({})


def test_a_script_that_is_no_island() -> None:
    assert said('<script data-layout-attributes>{"a": 1}</script>') == {}
    assert said(island('{"a": 1}', "data-other=data-layout-attributes")) == {}
    assert said(f"<template>{island('{}')}</template>" + island('{"a": 1}')) == {"a": 1}
    assert said("<SCRIPT DATA-LAYOUT-ATTRIBUTES TYPE=' Application/JSON '>{\"a\": 1}</SCRIPT>") == {"a": 1}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("&lt;a&gt;", "<a>"),
        ("?a=1&copy=2&amp;b", "?a=1&copy=2&b"),
        ("&copy &eacute;&notit;", "© é&notit;"),
        ("&#65;&#x42;&#0;&#xD800;&#1114112;", "AB\ufffd\ufffd\ufffd"),
        ("&;&#;&#x;&", "&;&#;&#x;&"),
    ],
)
def test_character_references(written: str, value: str) -> None:
    assert said(META.format("a", written)) == {"a": value}


@pytest.mark.parametrize(
    ("codec", "declared"),
    [
        ("utf-8", None),
        ("utf-8", "utf-8"),
        ("iso8859-2", "iso-8859-2"),
        ("shift_jis", "shift_jis"),
        ("gb18030", "gb18030"),
    ],
)
def test_the_charset_of_the_content_type(codec: str, declared: str | None) -> None:
    text = {"shift_jis": "日本", "gb18030": "中文€"}.get(codec, "Łódź")
    page = (META.format("a", text) + island(f'{{"b": "{text}"}}')).encode(codec)
    assert said(page, declared) == {"a": text, "b": text}


def test_the_charset_of_the_page() -> None:
    body = META.format("a", "Łódź")
    assert said(b'<meta charset="iso-8859-2">' + body.encode("iso8859-2"), None) == {"a": "Łódź"}
    assert said(b'<meta charset="iso-8859-2">' + body.encode(), "utf-8") == {"a": "Łódź"}
    assert said(b'<meta charset="utf-16">' + body.encode(), None) == {"a": "Łódź"}
    assert said(("\ufeff" + body).encode("utf-16-le"), None) == {"a": "Łódź"}
    assert said(("\ufeff" + body).encode(), "iso-8859-1") == {"a": "Łódź"}
    assert said(body.encode("utf-16-be"), "utf-16be") == {"a": "Łódź"}
    assert said(body, "no-charset") == {}


def test_what_costs_too_much_is_not_looked_through() -> None:
    assert said("<b>" * (limits.TAGS_MAX + 1) + FOUND) == {}
    assert said("<meta>" * limits.HANDED_OVER_TAGS_MAX + FOUND) == {}
    assert said("<meta>" * (limits.HANDED_OVER_TAGS_MAX - 1) + FOUND) == {"a": "1"}
    assert said("<meta " + "b " * limits.HANDED_OVER_BYTES_MAX + FOUND[6:]) == {}


PIECES = st.sampled_from(
    [
        FOUND, META.format("b", "2"), "<!--", "-->", "<!-->", "--!>", "<script>", "</script>", "<title>", "</title>", "'", '"',
        "<p a='", '<p b="', ">", "<", "</", "<!", "<?", "/", "=", " ", "x", "<style>", "</style>", "<noscript>", "</noscript>",
        "<template>", "</template>", "<div>", "</div>", "<textarea>", "</textarea>", "<a b=c>", "&amp;", "\n",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join))
@example("<script><!--<script>")
def test_as_the_parser_has_it(page: str) -> None:
    root = turbohtml.parse(page, scripting=True)
    there: dict[str, Any] = {}
    for element in root.select("meta"):
        name, value = str(element.attrs.get("name", "")), str(element.attrs.get("content", ""))
        if name.startswith("layout-mutation:") and not any(one.tag == "template" for one in _around(element)):
            there.setdefault(name.removeprefix("layout-mutation:"), value)
    assert said(page) == there


def _around(element: Any) -> list[Any]:
    return [one for one in element.ancestors if hasattr(one, "tag")]


@given(
    st.binary(max_size=300) | st.text(max_size=200).map(str.encode),
    st.sampled_from(["utf-8", None, "utf-16le", "gb18030"]),
)
@example(b"<meta name=layout-mutation:a content=\xff>", None)
@example(b"<meta charset=\xff name=layout-mutation:a>", None)
def test_no_bytes_are_an_exception(page: bytes, charset: str | None) -> None:
    for around in (
        page,
        b"layout-mutation:" + page,
        b"<meta name='layout-mutation:a' content='" + page + FOUND.encode(),
    ):
        found = handed_over(around, charset=charset, header=(page.decode("utf-8", "surrogateescape"),))
        json.dumps(found.attributes)
