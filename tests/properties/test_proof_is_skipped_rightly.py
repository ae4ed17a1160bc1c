"""Where an edit may skip the proof of the whole page, the proof would have held: tried on every odd document there is, and
on pages made of the tags about which HTML's parser has rules of its own, well nested and not."""

import random
from collections import Counter
from collections.abc import Iterator

import turbohtml

from rules.group import Group
from rules.html import Rewritten, apply_groups
from rules.operations import (
    After,
    Append,
    Before,
    Content,
    Operation,
    Prepend,
    Remove,
    RemoveClass,
    Replace,
    SetInnerContent,
    SetText,
    Target,
)
from tests.shared_folder import reads_shared_folder, tree_construction_documents

WRAPPER = b"<!doctype html><html><head><title>t</title></head><body>%s</body></html>"
TAGS_PER_DOCUMENT, VERBS_PER_TAG = 4, 5


def _operations(selector: str) -> list[Operation]:
    target = Target(selector=selector)
    return [
        Before(target=target, content=Content(html="<i>x</i>")),
        Before(target=target, content=Content(html="<div>x</div>")),
        After(target=target, content=Content(html="<p>x</p>")),
        After(target=target, content=Content(text="x")),
        Prepend(target=target, content=Content(text="x")),
        Append(target=target, content=Content(html="<b>x</b>")),
        SetText(target=target, content=Content(text="x")),
        SetInnerContent(target=target, content=Content(html="<table><tr><td>1</table>")),
        Replace(target=target, content=Content(html="<section>x</section>")),
        Remove(target=target),
    ]


def _tries(documents: list[bytes]) -> Iterator[tuple[bytes, Group]]:
    chance = random.Random(5)
    for document in documents:
        for page in (document, WRAPPER.replace(b"%s", document)):
            elements = turbohtml.parse(page.decode("latin-1"), scripting=True).find_all()
            tags = sorted({element.tag for element in elements if element.tag.isalnum()})
            for tag in chance.sample(tags, min(len(tags), TAGS_PER_DOCUMENT)):
                for operation in chance.sample(_operations(tag), VERBS_PER_TAG):
                    yield page, Group("tried", (operation,))


@reads_shared_folder
def test_no_page_comes_out_that_its_proof_would_have_refused() -> None:
    documents = [text.encode() for _, text in tree_construction_documents()]
    rewritten = 0
    for page, group in _tries(documents):
        result = apply_groups(page, [group], charset="utf-8")
        if isinstance(result, Rewritten):
            rewritten += 1
            assert apply_groups(page, [group], charset="utf-8", prove_all=True) == result, (page, group)
    assert rewritten >= len(documents)


SOUP_PAGES = 12_000
_VOID = ("hr", "br", "img", "input")
_TAGS = (
    *("div", "p", "b", "i", "a", "span", "form") * 4,
    *("ul", "li", "h1", "button", "em", "section", "font", *_VOID) * 2,
    *("table", "tr", "td", "select", "option", "svg", "desc", "math", "mi", "nobr", "pre", "textarea", "title", "code"),
    *("object", "dl", "dd", "ruby", "rt", "template", "label", "body", "head", "script", "style"),
)
_TEXTS = ("x", "x", " ", " ", "\n", "y z", "&amp;", "&", "<", "&am", "p;", "lt;", "b", "<!--c-->", "0")
_STRAY = ("p", "form", "b", "body", "html", "br", "a", "td")
_AROUND = (
    "<!doctype html><html><head><title>t</title></head><body>%s</body></html>",
    "<!doctype html><html><head><title>t</title></head><body>\n%s\n</body>\n</html>\n",
    "<!doctype html><html><head><script></script>%s",
    "<title>t</title><body><table><tr><td>%s</table>",
    "%s",
)
_CONTENTS = (
    *(Content(text=text) for text in ("x", " ", "lt; b")),
    *(
        Content(html=html)
        for html in ("n &amp", "n <", "<i>n</i>", "<p>n</p>", "<p><b>n</p>", "<b><b><b>n</b></b></b>")
    ),
    *(Content(html=html) for html in ("<a>n</a>", "<hr>", "<form>n</form>", "<table><tr><td>1</table>", "<li>n</li>")),
    *(
        Content(html=html)
        for html in ("<p>x<table><tr><td>1</table>", "<style>a{}</style>", "<svg><desc>n</desc></svg>")
    ),
)


def _soup(chance: random.Random) -> tuple[bytes, int]:
    """A page, and how many of its tags have an id: `e1`, `e2` and so on."""
    pieces: list[str] = []
    opened: list[str] = []
    ids, texts, nesting = 0, chance.choice((0.1, 0.3, 0.5)), chance.choice((0.7, 0.9, 0.97))
    for _ in range(chance.randint(3, 22)):
        kind = chance.random()
        if kind < texts:
            pieces.append(chance.choice(_TEXTS))
        elif kind < (1 + texts) / 2 or not opened:
            ids, tag = ids + 1, chance.choice(_TAGS)
            pieces.append(f"<{tag} id=e{ids}>")
            opened += [] if tag in _VOID else [tag]
        else:
            pieces.append(f"</{opened.pop() if chance.random() < nesting else chance.choice(_STRAY)}>")
    pieces += [f"</{tag}>" for tag in reversed(opened) if chance.random() < nesting]
    return (chance.choice(_AROUND) % "".join(pieces)).encode(), ids


def _asked(chance: random.Random, selector: str) -> Operation:
    target, content = Target(selector=selector), chance.choice(_CONTENTS)
    written = [
        verb(target=target, content=content) for verb in (Before, After, Prepend, Append, SetInnerContent, Replace)
    ]
    return chance.choice([*written, Remove(target=target), RemoveClass(target=target, names=["q"])])


def test_no_soup_comes_out_that_its_proof_would_have_refused() -> None:
    chance, told = random.Random(7), Counter[bool]()
    for _ in range(SOUP_PAGES):
        page, ids = _soup(chance)
        targets = chance.choices(
            ["head", "body", "title", *(f"#e{1 + at % ids}" for at in range(12))] if ids else ["body"], k=2
        )
        groups = [Group(str(at), (_asked(chance, selector),)) for at, selector in enumerate(targets)]
        result = apply_groups(page, groups, charset="utf-8")
        told[isinstance(result, Rewritten)] += 1
        assert apply_groups(page, groups, charset="utf-8", prove_all=True) == result, (page, groups)
    assert told[True] > SOUP_PAGES / 4, told
