"""Whether a page can be rewritten, and if not why: it is fetched as a browser would ask for it, and asked the sidecar's own questions.

Counterpart: `sidecar.heads.eligibility` has the questions. Never: a rewritten page.
"""

import http.client
import ssl
from urllib.parse import quote

from multidict import CIMultiDict

from layout_mutation.doctor.checks import Check
from layout_mutation.inputs import read_address
from rules import limits
from rules.html.charset import charset_of
from rules.html.document import Document
from rules.reasons import Reason
from sidecar.heads import codings, eligibility

ANSWER_S_MAX = 20.0
MODULES_SHOWN_MAX = 20
_AS_IT_IS = "%/:?#[]@!$&'()*+,;=~"
"""What may stand in the path and query of an address (RFC 3986, 3.3 and 3.4), as a browser leaves it."""

WHY = {
    Reason.STATUS: "its status has no page to change (1xx, 204, 205, 206 and 3xx never are)",
    Reason.CONTENT_TYPE: "it is not text/html (XHTML served as XML is not changed: what is written is HTML)",
    Reason.NO_TRANSFORM: "the origin forbids it: Cache-Control says no-transform (RFC 9110, 7.7)",
    Reason.ATTACHMENT: "it is a download (Content-Disposition: attachment)",
    Reason.CONTENT_ENCODING: "its Content-Encoding can't be undone here",
    Reason.TOO_LARGE: f"it is larger than {limits.PAGE_BYTES_MAX:,} bytes (SIDECAR_PAGE_BYTES_MAX), or has more than "
    f"{limits.TAGS_MAX:,} tags, or elements more than {limits.DEPTH_MAX} deep",
    Reason.CHARSET: "its charset is unknown, or hides markup from an ASCII reading",
    Reason.BROKEN_BODY: "its body is not what its Content-Encoding says",
}


def page_checks(url: str) -> list[Check]:
    """Whether the sidecar could rewrite the page at `url`, step by step; OSError if it can't be fetched."""
    status, headers, body = _fetch(url)
    checks = [Check("answer", True, f"status {status}, {len(body):,} bytes, {headers.get('Content-Type', 'no type')}")]
    asked = CIMultiDict({"Accept": "text/html"})
    reason = eligibility.refusal("GET", status, asked, headers, bytes_max=limits.PAGE_BYTES_MAX)
    if reason is not None:
        return [*checks, _refused(reason, _led_away(headers) if reason is Reason.STATUS else "")]
    try:
        page = codings.undo(body, eligibility.coding_of(headers) or "", bytes_max=limits.PAGE_BYTES_MAX)
    except codings.BrokenBodyError as error:
        return [*checks, _refused(Reason.BROKEN_BODY, str(error))]
    except codings.TooLargeError:
        return [*checks, _refused(Reason.TOO_LARGE)]
    declared = eligibility.charset_of(headers.get("Content-Type", ""))
    charset = charset_of(page, declared)
    if charset is None:
        return [*checks, _refused(Reason.CHARSET, declared or "")]
    if charset.is_wide:
        return [*checks, Check("rewritable", True, f"yes, by way of UTF-8 ({charset.name})")]
    return [*checks, *_document_checks(Document(page, charset))]


def _document_checks(document: Document) -> list[Check]:
    checks = [Check("rewritable", True, f"yes, {document.charset.name}")]
    for selector, use in (("head", "styles can be added"), ("body", "its attributes can be set")):
        found = document.root.select_one(selector)
        certain = found is not None and document.start_tag(found) is not None
        if found is not None and selector == "head":
            certain = document.inner(found) is not None
        detail = use if certain else f"the page has no certain <{selector}>; mutations of it are refused"
        checks.append(Check(f"<{selector}>", certain, detail))
    modules = {
        _as_read(str(element.attrs["data-module"] or ""), document) for element in document.select("[data-module]")
    }
    named = ", ".join(sorted(filter(None, modules))[:MODULES_SHOWN_MAX])
    checks.append(Check("modules", True, named or "none marked with data-module; use CSS selectors"))
    if document.is_misnested:
        checks.append(Check("nesting", True, "formatting tags are misnested; edits near them may be refused"))
    return checks


def _as_read(text: str, document: Document) -> str:
    """A name out of the document's Latin-1 window, in the page's charset and on one line."""
    try:
        told = text.encode("latin-1").decode("utf-8" if document.charset.codec == "ascii" else document.charset.codec)
    except UnicodeError:  # written with character references, or not in the charset it claims
        told = text
    return " ".join(told.split())


def _led_away(headers: CIMultiDict[str]) -> str:
    if headers.get("X-Layout-Mutation", "").startswith("applied"):
        return f"a mutation redirects it to {headers.get('Location', 'nowhere')}"
    return f"ask for {headers['Location']} instead" if "Location" in headers else ""


def _refused(reason: Reason, detail: str = "") -> Check:
    why = WHY.get(reason, reason.value)
    return Check("rewritable", False, f"no ({reason}): {why}" + (f": {detail}" if detail else ""))


def _fetch(url: str) -> tuple[int, CIMultiDict[str], bytes]:
    parts = read_address("--url", url, example="http://127.0.0.1:3000/offers")
    connection = (
        http.client.HTTPSConnection(parts.netloc, timeout=ANSWER_S_MAX, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc, timeout=ANSWER_S_MAX)
    )
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_AS_IT_IS)
    try:
        asked = {"Accept": "text/html", "Accept-Encoding": "gzip, br, zstd", "User-Agent": "layout-mutation-doctor"}
        connection.request("GET", path, headers=asked)
        response = connection.getresponse()
        body = response.read(limits.PAGE_BYTES_MAX + 1)
        if response.length and len(body) <= limits.PAGE_BYTES_MAX:
            raise http.client.IncompleteRead(body, response.length)
        return response.status, CIMultiDict(response.getheaders()), body
    finally:
        connection.close()
