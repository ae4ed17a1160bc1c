"""The script for the browser, as the sidecar serves it: `/.layout-mutation/runtime.<hash>.js`.

Read once, when the program starts: comments and indentation stay here, everything else is the file's. A page calls the
script by its hash, so that browsers may keep it for ever; another hash is an older or newer sidecar's, and gets the present
script, which is asked for again next time: a page that somebody kept still works.
Counterpart: `sidecar/runtime/runtime.js` is the source; `rules.html.island` writes the tag.
Never: a file read for a request.
"""

import gzip
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import brotli
from msgspec import Struct

from sidecar.heads import headers
from sidecar.heads.headers import Field

_SOURCE = Path(__file__).resolve().parent / "runtime.js"
_ADDRESS = re.compile(r"/\.layout-mutation/runtime\.[0-9a-f]{16}\.js")
_LEADING_COMMENT = re.compile(r"\A/\*.*?\*/\s*", re.DOTALL)
_LINE_COMMENT = re.compile(r"(?:^|\s)// .*$")


class BrowserScript(Struct, frozen=True):
    """The script's bytes, and what follows from them."""

    address: str
    integrity: str
    """`sha256-…`, as in an `integrity` attribute and, in quotes, in a policy."""
    bodies: Mapping[str, bytes]
    """Coding -> bytes, as small as they get, since it is done once; `""` for none."""


def without_comments(source: str) -> str:
    """JavaScript of this house less comments and indentation; `// ` begins a comment wherever a space precedes it."""
    bare = (_LINE_COMMENT.sub("", line).strip() for line in _LEADING_COMMENT.sub("", source).splitlines())
    return "\n".join(line for line in bare if line) + "\n"


def browser_script(source: str) -> BrowserScript:
    """The script as it is served."""
    body = without_comments(source).encode()
    digest = sha256(body)
    return BrowserScript(
        address=f"/.layout-mutation/runtime.{digest.hexdigest()[:16]}.js",
        integrity=f"sha256-{b64encode(digest.digest()).decode()}",
        bodies={"": body, "br": brotli.compress(body, quality=11), "gzip": gzip.compress(body, 9, mtime=0)},
    )


SCRIPT = browser_script(_SOURCE.read_text(encoding="utf-8"))


def answer(path: str, accept_encoding: str, script: BrowserScript = SCRIPT) -> tuple[list[Field], bytes] | None:
    """Fields and body for a path of the engine's own; None if it is no script's."""
    if not _ADDRESS.fullmatch(path):
        return None
    coding = headers.preferred_coding(accept_encoding, "br")
    kept = b"public, max-age=31536000, immutable" if path == script.address else b"no-cache"
    fields = [
        (b"Content-Type", b"text/javascript; charset=utf-8"),
        (b"Cache-Control", kept),
        (b"Vary", b"Accept-Encoding"),
        (b"X-Content-Type-Options", b"nosniff"),
    ]
    if coding and coding in script.bodies:
        return [*fields, (b"Content-Encoding", coding.encode())], script.bodies[coding]
    return fields, script.bodies[""]
