"""The demo's mutations, imported once into an empty store, through the same API that everybody uses.

Counterpart: `demo/rules.json`, a rules file, and the control plane's `/api/layout-mutation/import`.
Never touches a store that holds a mutation, and never seeds twice: who deleted the demo's mutations meant it.
"""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from layout_mutation.processes import RunError

API = "/api/layout-mutation"
ANSWER_S_MAX = 30.0
DETAIL_CHARACTERS_MAX = 400


def seed(control_plane_url: str, bearer: str, rules: bytes) -> bool:
    """Import `rules` if the store holds no mutation yet; whether it did.

    Raises:
        RunError: the control plane refuses; with its problem document's words (RFC 9457).
    """
    held = _ask(control_plane_url, bearer, "GET", f"{API}/mutations")
    if _holds_something(held):
        return False
    _ask(control_plane_url, bearer, "POST", f"{API}/import", rules)
    return True


def shows_mutations(site_url: str) -> bool:
    """Whether the site's home page leaves the sidecar mutated."""
    connection = http.client.HTTPConnection(urlsplit(site_url).netloc, timeout=ANSWER_S_MAX)
    try:
        connection.request("GET", "/")
        return (connection.getresponse().getheader("X-Layout-Mutation") or "").startswith("applied")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _holds_something(page: Any) -> bool:
    """Whether a page of a list has any row."""
    lists = [page] if isinstance(page, list) else [value for value in page.values() if isinstance(value, list)]
    return any(lists)


def _ask(url: str, bearer: str, method: str, path: str, body: bytes | None = None) -> Any:
    headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/json"}
    if body is not None:
        headers |= {"Content-Type": "application/json", "Idempotency-Key": "seed-demo"}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_S_MAX)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise RunError(f"seeding the demo: {method} {path}: {error}") from error
    finally:
        connection.close()
    if response.status >= 300:
        shown = answer.decode("utf-8", "replace")[:DETAIL_CHARACTERS_MAX]
        raise RunError(f"seeding the demo: {method} {path} answers {response.status}", [shown])
    return json.loads(answer) if answer else {}
