"""May this response be rewritten? And might this request ask for a document at all?

Pure: heads of messages in, a `Reason` out. Counterpart: `proxy` asks before it buffers a single byte, so that whatever is
refused here streams through.
Never: the table, the visitor or the body; those come later and have reasons of their own.
"""

from collections.abc import Sequence
from functools import lru_cache

from multidict import MultiMapping

from rules.html import charset as html_charset
from rules.reasons import Reason
from sidecar.heads.headers import LISTED_BYTES_MAX

Headers = MultiMapping[str]
"""Field names of any case -> values."""

DOCUMENT_TYPES = frozenset({"text/html"})
"""Not application/xhtml+xml: browsers read that as XML and show nothing of a page in which one tag is not well-formed, and
what is written here is HTML."""
CODINGS = frozenset({"gzip", "x-gzip", "br", "zstd", "deflate"})
"""Content codings (RFC 9110 8.4.1) that can be undone and redone here."""
CODINGS_MAX = 2
"""Content codings of one response, one around the other."""

PARTIAL_FIELDS = ("HX-Request", "Turbo-Frame", "RSC", "X-Nextjs-Data", "X-PJAX", "X-Inertia", "X-Up-Target")
"""Request fields of client libraries that ask for a piece of a page."""

_DOCUMENT_DESTINATIONS = frozenset({"document", "iframe", "frame", "fencedframe", "embed", "object"})
_STATIC_SUFFIXES = frozenset(
    {
        "avif",
        "bmp",
        "bz2",
        "css",
        "csv",
        "eot",
        "gif",
        "gz",
        "ico",
        "jpeg",
        "jpg",
        "js",
        "json",
        "jsonld",
        "map",
        "mjs",
        "mov",
        "mp3",
        "mp4",
        "ogg",
        "otf",
        "pdf",
        "png",
        "svg",
        "tar",
        "ttf",
        "txt",
        "wasm",
        "wav",
        "webm",
        "webmanifest",
        "webp",
        "woff",
        "woff2",
        "xml",
        "zip",
        "zst",
    }
)

CONTENT_TYPE_CHARACTERS_MAX = 512
"""Of a page's: what an origin says is remembered, and may be 64 KB."""


def refusal(method: str, status: int, request: Headers, response: Headers, *, bytes_max: int) -> Reason | None:
    """Why the response must pass as it is, None when it may be rewritten.

    A HEAD is judged like the GET it stands for, except that the answer is never None: see `proxy`.
    """
    if status != 200 and (status < 200 or status in {204, 205, 206} or 300 <= status < 400):
        return Reason.STATUS
    types = response.getall("Content-Type", ())
    # Of several that differ browsers take the last that they understand: what is written for one would be read as another.
    if (
        not types
        or types.count(content_type := types[0]) != len(types)
        or len(content_type) > CONTENT_TYPE_CHARACTERS_MAX
        or media_type(content_type) not in DOCUMENT_TYPES
    ):
        return Reason.CONTENT_TYPE
    if method not in {"GET", "POST", "HEAD"}:
        return Reason.METHOD
    if _says_no_transform(response.getall("Cache-Control", ())):
        return Reason.NO_TRANSFORM
    if any(said.lstrip().lower().startswith("attachment") for said in response.getall("Content-Disposition", ())):
        return Reason.ATTACHMENT
    if is_partial(request):
        return Reason.PARTIAL
    if not _is_readable(charset_of(content_type)):
        return Reason.CHARSET
    if coding_of(response) is None:
        return Reason.CONTENT_ENCODING
    if declared_length(response) > bytes_max:
        return Reason.TOO_LARGE
    return Reason.METHOD if method == "HEAD" else None


def may_be_document(method: str, request: Headers, path: str) -> bool:
    """Whether the answer to this request could be a page that is rewritten; a yes costs its Range and validators.

    Browsers say what a response is for in Sec-Fetch-Dest. For the rest Accept and the path must do; in doubt it is yes,
    because a validator of the origin's must not bring back a page from before a rule.
    """
    if method not in {"GET", "HEAD"} or is_partial(request):
        return False
    destination = request.get("Sec-Fetch-Dest")
    if destination is not None and destination != "empty":
        return destination in _DOCUMENT_DESTINATIONS
    accept = ", ".join(request.getall("Accept", ("*/*",))).lower()
    if "text/html" in accept or "text/*" in accept:
        return True
    return "*/*" in accept and not _has_static_suffix(path)


def is_partial(request: Headers) -> bool:
    """Whether a client library asked for a piece of a page."""
    return any(name in request for name in PARTIAL_FIELDS)


def coding_of(response: Headers) -> str | None:
    """The content coding: `""` for none, `gzip, br` for two in the order they were applied, None for what can't be undone.

    Two happen where an application and a server in front of it both compress; more is a way to make work.
    """
    if "Content-Encoding" not in response:
        return ""
    said = ",".join(response.getall("Content-Encoding"))
    if len(said) > LISTED_BYTES_MAX:
        return None
    listed = (coding.strip() for coding in said.lower().split(","))
    stack = [coding for coding in listed if coding not in {"", "identity"}]
    return ", ".join(stack) if len(stack) <= CODINGS_MAX and CODINGS.issuperset(stack) else None


def declared_length(response: Headers) -> int:
    """Content-Length in bytes, 0 where there is none."""
    text = response.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


@lru_cache(maxsize=512)
def media_type(content_type: str) -> str:
    """`Text/HTML; charset=x` -> `text/html`."""
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=512)
def charset_of(content_type: str) -> str | None:
    """The charset parameter of a Content-Type (RFC 9110 8.3.1), None where there is none."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower() or None
    return None


@lru_cache(maxsize=512)
def _is_readable(charset: str | None) -> bool:
    return charset is None or html_charset.charset_of(b"", charset) is not None


def _says_no_transform(lines: Sequence[str]) -> bool:
    """Whether Cache-Control says so, or is too long to be taken apart."""
    return sum(map(len, lines)) > LISTED_BYTES_MAX or any(
        directive.partition("=")[0].strip().lower() == "no-transform"
        for value in lines
        for directive in value.split(",")
    )


def _has_static_suffix(path: str) -> bool:
    last = path.partition("?")[0].rpartition("/")[2]
    stem, _, suffix = last.rpartition(".")
    return bool(stem) and suffix.lower() in _STATIC_SUFFIXES
