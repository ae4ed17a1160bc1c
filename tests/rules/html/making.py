"""Short ways to make documents and operations in tests."""

from rules import model
from rules.html import PassedThrough, Rewritten, rewrite
from rules.html.charset import Charset
from rules.html.document import Document

UTF_8 = Charset("UTF-8", "utf-8", 0)


def document(page: str) -> Document:
    return Document(page.encode(), UTF_8)


def at(selector: str) -> model.Target:
    return model.Target(selector=selector)


def text(value: str) -> model.Content:
    return model.Content(text=value)


def html(value: str) -> model.Content:
    return model.Content(html=value)


def rewritten(page: str, *operations: model.Operation) -> str:
    """The page after the operations; the page itself if none applied."""
    result = rewrite(page.encode(), operations, charset="utf-8")
    return result.page.decode() if isinstance(result, Rewritten) else page


def reasons(page: str, *operations: model.Operation) -> list[str]:
    result: Rewritten | PassedThrough = rewrite(page.encode(), operations, charset="utf-8")
    return [str(outcome.reason) for outcome in result.outcomes]
