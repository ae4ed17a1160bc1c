"""Which responses may be rewritten: HTTP.md's list of what is never rewritten, line by line."""

import pytest
from multidict import CIMultiDict

from rules.reasons import Reason
from sidecar.heads import eligibility
from sidecar.heads.headers import LISTED_BYTES_MAX

HTML = {"Content-Type": "text/html; charset=utf-8"}


def refused(
    response: dict[str, str], *, status: int = 200, method: str = "GET", request: dict[str, str] | None = None
) -> Reason | None:
    return eligibility.refusal(method, status, CIMultiDict(request or {}), CIMultiDict(response), bytes_max=1000)


@pytest.mark.parametrize("content_type", ["text/html", "Text/HTML;charset=UTF-8", "text/html ; charset=utf-8"])
@pytest.mark.parametrize("status", [200, 203, 299, 400, 404, 500])
def test_pages_of_any_outcome_are_eligible(content_type: str, status: int) -> None:
    assert refused({"content-type": content_type}, status=status) is None


@pytest.mark.parametrize("status", [100, 101, 199, 204, 205, 206, 300, 301, 302, 304, 399])
def test_status_without_a_page_of_its_own(status: int) -> None:
    assert refused(HTML, status=status) is Reason.STATUS


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/json", "text/event-stream", "text/vnd.turbo-stream.html", "application/xhtml+xml"],
)
def test_anything_not_html(content_type: str) -> None:
    assert refused({"Content-Type": content_type}) is Reason.CONTENT_TYPE
    assert refused({}) is Reason.CONTENT_TYPE


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["text/html", "text/plain"], Reason.CONTENT_TYPE),
        (["text/html; charset=utf-8", "text/html; charset=iso-2022-jp"], Reason.CONTENT_TYPE),
        (["text/html", "text/html"], None),
    ],
)
def test_what_has_two_types_is_none_that_is_known(types: list[str], expected: Reason | None) -> None:
    response = CIMultiDict([("Content-Type", one) for one in types])
    assert eligibility.refusal("GET", 200, CIMultiDict(), response, bytes_max=1000) is expected


def test_head_is_judged_like_its_get() -> None:
    assert refused(HTML, method="HEAD") is Reason.METHOD
    assert refused({"Content-Type": "image/png"}, method="HEAD") is Reason.CONTENT_TYPE
    assert refused({**HTML, "Cache-Control": "no-transform"}, method="HEAD") is Reason.NO_TRANSFORM
    assert refused({**HTML, "Content-Length": "1001"}, method="HEAD") is Reason.TOO_LARGE
    assert refused(HTML, method="POST") is None
    assert refused(HTML, method="PUT") is Reason.METHOD


def test_no_transform() -> None:
    assert refused({**HTML, "Cache-Control": "public, No-Transform"}) is Reason.NO_TRANSFORM
    assert refused({**HTML, "Cache-Control": "public,no-transform = 1"}) is Reason.NO_TRANSFORM
    assert refused({**HTML, "Cache-Control": "public, max-age=3"}) is None
    twice = CIMultiDict([*HTML.items(), ("Cache-Control", "public"), ("cache-control", "no-transform")])
    assert eligibility.refusal("GET", 200, CIMultiDict(), twice, bytes_max=1000) is Reason.NO_TRANSFORM


def test_a_cache_control_that_is_too_long_to_be_read_may_say_so() -> None:
    read, half = "x" * LISTED_BYTES_MAX, "x" * (LISTED_BYTES_MAX // 2 + 1)
    assert refused({**HTML, "Cache-Control": read}) is None
    assert refused({**HTML, "Cache-Control": read + ","}) is Reason.NO_TRANSFORM
    twice = CIMultiDict([*HTML.items(), ("Cache-Control", half), ("cache-control", half)])
    assert eligibility.refusal("GET", 200, CIMultiDict(), twice, bytes_max=1000) is Reason.NO_TRANSFORM


def test_codings_that_are_too_many_to_be_read_are_unknown() -> None:
    assert refused({**HTML, "Content-Encoding": "," * LISTED_BYTES_MAX}) is None
    assert refused({**HTML, "Content-Encoding": "," * (LISTED_BYTES_MAX + 1)}) is Reason.CONTENT_ENCODING


def test_a_content_type_that_is_too_long_is_none_and_is_not_remembered() -> None:
    eligibility.media_type.cache_clear()
    eligibility.charset_of.cache_clear()
    longest = HTML["Content-Type"].ljust(eligibility.CONTENT_TYPE_CHARACTERS_MAX, ";")
    assert refused({"Content-Type": longest}) is None
    assert refused({"Content-Type": longest + ";"}) is Reason.CONTENT_TYPE
    assert (eligibility.media_type.cache_info().currsize, eligibility.charset_of.cache_info().currsize) == (1, 1)


def test_content_disposition_attachment() -> None:
    assert refused({**HTML, "Content-Disposition": 'Attachment; filename="a.html"'}) is Reason.ATTACHMENT
    assert refused({**HTML, "Content-Disposition": "\tATTACHMENT"}) is Reason.ATTACHMENT
    assert refused({**HTML, "Content-Disposition": "inline"}) is None
    twice = CIMultiDict([*HTML.items(), ("Content-Disposition", "inline"), ("content-disposition", "attachment")])
    assert eligibility.refusal("GET", 200, CIMultiDict(), twice, bytes_max=1000) is Reason.ATTACHMENT


@pytest.mark.parametrize(
    "name", ["HX-Request", "turbo-frame", "RSC", "x-nextjs-data", "X-PJAX", "x-inertia", "X-Up-Target"]
)
def test_partials(name: str) -> None:
    assert refused(HTML, request={name: "1"}) is Reason.PARTIAL


def test_content_codings() -> None:
    for coding in ("gzip", "BR", "zstd", "deflate", "identity", "", "gzip, br", "gzip,GZIP", "identity, gzip"):
        assert refused({**HTML, "Content-Encoding": coding}) is None
    for coding in ("compress", "gzip, compress", "dcb", "gzip, br, gzip"):
        assert refused({**HTML, "Content-Encoding": coding}) is Reason.CONTENT_ENCODING


def test_a_page_that_says_it_is_too_large() -> None:
    assert refused({**HTML, "Content-Length": "1001"}) is Reason.TOO_LARGE
    assert refused({**HTML, "Content-Length": "1000"}) is None
    assert eligibility.declared_length(CIMultiDict({"Content-Length": "²"})) == 0


def test_two_codings_are_named_in_the_order_in_which_they_were_applied() -> None:
    given = CIMultiDict([("Content-Encoding", "identity, GZIP "), ("content-encoding", "br")])
    assert eligibility.coding_of(given) == "gzip, br"
    assert eligibility.coding_of(CIMultiDict({"Content-Encoding": "x-gzip"})) == "x-gzip"
    assert eligibility.coding_of(CIMultiDict()) == ""


def test_unknown_charsets() -> None:
    assert refused({"Content-Type": "text/html; charset=klingon"}) is Reason.CHARSET
    assert refused({"Content-Type": "text/html; charset=Shift_JIS"}) is None


def test_charset() -> None:
    assert eligibility.charset_of("text/html") is None
    assert eligibility.charset_of("text/html; charset=") is None
    assert eligibility.charset_of("text/html; charset = 'UTF-8' ; charset=x") == "utf-8"
    assert eligibility.charset_of('text/html; x=y; Charset="ISO-8859-1"') == "iso-8859-1"


@pytest.mark.parametrize(
    ("fields", "path", "expected"),
    [
        ({"Accept": "text/html,*/*;q=0.8"}, "/", True),
        ({"Accept": "*/*"}, "/page", True),
        ({}, "/page?x=a.css", True),
        ({"Accept": "*/*"}, "/style.CSS?v=1", False),
        ({"Accept": "image/avif,image/webp"}, "/page", False),
        ({"Accept": "Text/HTML"}, "/page.css", True),
        ({"Accept": "text/*"}, "/page.css", True),
        ({"Accept": "*/*"}, "/styles.css/", True),
        ({"Accept": "*/*"}, "/.css", True),
        ({"Accept": "*/*"}, "/index.php", True),
        ({"Accept": "*/*"}, "/v1.2/page", True),
        ({"Accept": "*/*"}, "/css", True),
        *(
            ({"Sec-Fetch-Dest": name, "Accept": "image/png"}, "/a.css", True)
            for name in ("document", "iframe", "frame", "fencedframe", "embed", "object")
        ),
        ({"Sec-Fetch-Dest": "image", "Accept": "*/*"}, "/", False),
        ({"Sec-Fetch-Dest": "empty", "Accept": "*/*"}, "/page", True),
        ({"HX-Request": "true", "Accept": "text/html"}, "/", False),
    ],
)
def test_what_may_be_a_document(fields: dict[str, str], path: str, expected: bool) -> None:
    assert eligibility.may_be_document("GET", CIMultiDict(fields), path) is expected
    assert eligibility.may_be_document("HEAD", CIMultiDict(fields), path) is expected
    assert not eligibility.may_be_document("POST", CIMultiDict(fields), path)


def test_a_field_in_two_lines_asks_for_what_both_say() -> None:
    asked = CIMultiDict([("Accept", "image/avif"), ("accept", "text/html")])
    assert eligibility.may_be_document("GET", asked, "/page")
