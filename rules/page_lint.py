"""What a mutation does to a page that its author would not want: seen by comparing the page before and after.

Headings out of order, ids that stand twice, text that can't be read on its ground, media that push the page about when they
arrive. What the page had wrong before is not the mutation's.
Counterpart: `rules.lint` tries each group on sample pages and asks here. Never: a rewrite of its own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rules import model
from rules.colours import CONTRAST_MIN, pairs_of
from rules.group import Group
from rules.html import Rewritten
from rules.html.charset import Charset, charset_of
from rules.html.document import Document
from rules.model import Delivery

_HEADINGS = "h1, h2, h3, h4, h5, h6"
_MEDIA = "img, video, iframe, embed, object"
_SIZED = ("width", "height")
_UTF_8 = Charset("UTF-8", "utf-8", 0)
_SHIFTING = (
    model.Before,
    model.After,
    model.Prepend,
    model.Append,
    model.SetInnerContent,
    model.Replace,
    model.Remove,
    model.RemoveAndKeepContent,
    model.MoveBefore,
    model.MoveAfter,
    model.MovePrepend,
    model.MoveAppend,
    model.ReorderChildren,
    model.OrderByStyle,
    model.HideByStyle,
)
"""Verbs after which other things may stand elsewhere."""


def lint_change(page: bytes, result: Rewritten) -> Iterator[str]:
    """What is wrong with the changed page that was not wrong before."""
    charset = charset_of(page, None)
    if charset is None or charset.is_wide:
        return
    before, after = Document(page, charset), Document(result.page, charset)
    yield from _headings(before, after)
    yield from _ids(before, after)
    yield from _contrast(before, after)


def lint_shifts(group: Group) -> Iterator[str]:
    """What may push other content about after the page is shown, whatever the page."""
    for index, operation in enumerate(group.operations):
        which = f"operation {index + 1} ({operation.target.selector})"
        if group.delivery is Delivery.CLIENT and group.when is None and isinstance(operation, _SHIFTING):
            yield (
                f"{which} is done in the browser when the page is already there: what stands below may jump (layout shift). "
                "Leave it to the edge, wait for an event, or let the page keep its place"
            )
        for name in _unsized(operation):
            yield f"{which} inserts <{name}> without `width` and `height`: the page jumps when it arrives (layout shift)"


def _headings(before: Document, after: Document) -> Iterator[str]:
    were, levels = _levels(before), _levels(after)
    if were.count(1) == 1 and levels.count(1) != 1:
        yield f"leaves the page with {levels.count(1) or 'no'} h1; it had one"
    for (upper, lower), times in (_skips(levels) - _skips(were)).items():
        again = f", {times} times" if times > 1 else ""
        yield f"breaks the order of headings: h{lower} follows h{upper}{again}"


def _levels(document: Document) -> list[int]:
    return [int(element.tag[1]) for element in document.select(_HEADINGS)]


def _skips(levels: Sequence[int]) -> Counter[tuple[int, int]]:
    return Counter((upper, lower) for upper, lower in pairwise(levels) if lower > upper + 1)


def _ids(before: Document, after: Document) -> Iterator[str]:
    were = _counted(before)
    for name, times in _counted(after).items():
        if times > 1 and times > were[name]:
            yield f"makes the id `{name}` stand {times} times on the page: links, labels and scripts find only the first"


def _counted(document: Document) -> Counter[str]:
    ids = (str(element.attrs.get("id") or "") for element in document.select("[id]:not([id=''])"))
    return Counter(_as_written(name, document) for name in ids)


def _as_written(text: str, document: Document) -> str:
    """Text of the page as its author knows it: a document is seen through a window of bytes."""
    return text.encode("latin-1", "replace").decode(document.charset.codec, "replace")


def _contrast(before: Document, after: Document) -> Iterator[str]:
    """Rules whose text becomes hard to read; style blocks of the page only, since nothing is fetched."""
    were = {pair.selector: pair.contrast for pair in pairs_of(_sheets(before))}
    for selector, contrast in {pair.selector: pair.contrast for pair in pairs_of(_sheets(after))}.items():
        if contrast < CONTRAST_MIN and contrast < were.get(selector, 22.0):
            yield (
                f"gives `{selector}` a contrast of {contrast:.1f}; text can be read from {CONTRAST_MIN} on (WCAG 2.2, 1.4.3)"
            )


def _sheets(document: Document) -> list[str]:
    """The style blocks, and the `style` attributes as rules of their elements."""
    blocks = [str(element.text or "") for element in document.select("style")]
    named = (
        (element.tag + "".join(f".{name}" for name in str(element.attrs.get("class") or "").split()), element)
        for element in document.select("[style]")
    )
    return [*blocks, *(f"{name} {{{element.attrs.get('style')}}}" for name, element in named)]


def _unsized(operation: model.Operation) -> Iterator[str]:
    """Names of media elements in inserted content that keep no place free."""
    content = getattr(operation, "content", None)
    if not isinstance(content, model.Content) or content.html is None:
        return
    for element in Document(content.html.encode("utf-8", "replace"), _UTF_8).select(_MEDIA):
        style = str(element.attrs.get("style") or "")
        if not all(name in element.attrs or f"{name}:" in style for name in _SIZED) and "aspect-ratio" not in style:
            yield element.tag
