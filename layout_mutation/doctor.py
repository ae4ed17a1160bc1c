"""`layout-mutation doctor`: why a page can't be rewritten, or what is wrong with this installation.

With `--url` it fetches the page as a browser would ask for it and puts the sidecar's own questions to it.
Without, it looks at what the environment names: database, schema, Redis and the published table.
"""

import argparse
import asyncio
import base64
import http.client
import ssl
import sys
from urllib.parse import quote

import msgspec
import redis
from multidict import CIMultiDict

from control_plane.schema.runner import plan
from control_plane.store import StoreError
from layout_mutation.environment import add_data_dir, read_environment
from layout_mutation.inputs import read_address
from layout_mutation.migration_check import migration_check
from rules import limits
from rules.errors import TableError
from rules.html.charset import charset_of
from rules.html.document import Document
from rules.reasons import Reason
from rules.table import unseal
from service.keys import Keys
from sidecar.heads import codings, eligibility
from sidecar.tables.tables import verifier

ANSWER_S_MAX = 20.0
MODULES_SHOWN_MAX = 20
_AS_IT_IS = "%/:?#[]@!$&'()*+,;=~"
"""What may stand in the path and query of an address (RFC 3986, 3.3 and 3.4), as a browser leaves it."""

EXAMPLES = """\
examples:
  layout-mutation doctor --url http://127.0.0.1:3000/offers
      can this page be rewritten, and if not why
  layout-mutation doctor
      is the database there and its schema current, is Redis there, is a table published
  layout-mutation doctor --json

exit codes: 0 all is well, 1 it found trouble, 2 wrong usage, 3 the page can't be fetched
"""

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


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    fine: bool
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `doctor`."""
    parser.add_argument("--url", metavar="URL", help="say whether this page can be rewritten")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look, print what was found. The exit code of the contract."""
    if arguments.url:
        try:
            checks = page_checks(arguments.url)
        except (OSError, http.client.HTTPException, UnicodeError) as error:  # the last: no host is called so
            # What a broken server said may have line ends in it.
            print(f"error: {arguments.url} can't be fetched: {' '.join(str(error).split())}", file=sys.stderr)
            return 3
    else:
        checks = installation_checks(read_environment(arguments.data_dir))
    if arguments.json:
        print(msgspec.json.encode(checks).decode())
    else:
        for check in checks:
            print(f"{'ok  ' if check.fine else 'FAIL'}  {check.name}: {check.detail}")
    return 0 if all(check.fine for check in checks) else 1


# -- a page


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


# -- an installation


def installation_checks(environ: dict[str, str]) -> list[Check]:
    """Database, schema, documents, Redis and the published table, as the environment names them."""
    database = _database(environ)
    documents = [Check("documents", *migration_check(environ))] if database.fine else []
    return [database, *documents, *_published(environ)]


def _database(environ: dict[str, str]) -> Check:
    url = environ.get("DATABASE_URL")
    if not url:
        return Check("database", False, "DATABASE_URL is not set")
    try:
        found = asyncio.run(plan(url))
    except (StoreError, ValueError) as error:
        return Check("database", False, str(error))
    if found.problem:
        return Check("database", False, found.problem)
    pending = f", {len(found.pending)} migrations pending: run `layout-mutation migrate`" if found.pending else ""
    return Check("database", not found.pending, f"{found.database}: schema {found.current} of {found.latest}{pending}")


def _published(environ: dict[str, str]) -> list[Check]:
    url = environ.get("REDIS_URL")
    if not url:
        return [Check("redis", False, "REDIS_URL is not set")]
    keys = Keys(environ.get("LAYOUT_MUTATION_ENVIRONMENT", "local"))
    try:
        with redis.Redis.from_url(url, socket_timeout=ANSWER_S_MAX, socket_connect_timeout=ANSWER_S_MAX) as client:
            sealed = client.get(keys.table)
    except ValueError:
        return [Check("redis", False, "REDIS_URL is no address such as redis://127.0.0.1:6379/0")]
    except redis.RedisError as error:
        return [Check("redis", False, f"can't be reached: {type(error).__name__}")]
    answer = Check("redis", True, "answers")
    if not isinstance(sealed, bytes):
        return [answer, Check("table", False, "none is published")]
    try:
        verify = verifier(_public_keys(environ))
    except ValueError:
        unusable = "SIDECAR_TABLE_PUBLIC_KEYS must hold base64 of 32 bytes each, separated by commas"
        return [answer, Check("table", False, unusable)]
    try:
        table = unseal(sealed, verify=verify)
    except TableError as error:
        return [answer, Check("table", False, str(error))]
    return [answer, Check("table", True, f"version {table.version} with {table.size} mutations, signature fine")]


def _public_keys(environ: dict[str, str]) -> list[bytes]:
    return [base64.b64decode(key) for key in environ.get("SIDECAR_TABLE_PUBLIC_KEYS", "").split(",") if key.strip()]
