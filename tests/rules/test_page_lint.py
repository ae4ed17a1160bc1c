"""What a mutation breaks on a sample page."""

from typing import Any

import pytest

from rules.lint import lint
from tests.rules.making import table

PAGE = """<!doctype html><head><meta charset=utf-8><style>:root{--ink:#222;--paper:#fff} body{color:var(--ink);background:var(--paper)}
.old{color:#aaa;background:#fff}</style></head><body><h1>A</h1><h3>odd</h3><h2 id=two>B</h2><p id=\u00fc>c</p>
<div id=twice></div><div id=twice></div></body>""".encode()


def found(*operations: dict[str, Any], page: bytes = PAGE, **fields: Any) -> list[str]:
    mutation = {"id": "m", "mutationType": "set", "mutationPayload": {"operations": operations}, **fields}
    return [finding.message for finding in lint(table(mutation), {"/": page})]


def a(verb: str, selector: str, **fields: Any) -> dict[str, Any]:
    return {"verb": verb, "target": {"selector": selector}, **fields}


def html(text: str) -> dict[str, Any]:
    return {"content": {"html": text}}


def test_what_was_wrong_before_is_not_the_mutations() -> None:
    assert found(a("setText", "p", content={"text": "x"}), a("addClass", "h3", names=["y"])) == []


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (a("remove", "h1"), "on /: leaves the page with no h1; it had one"),
        (a("after", "p", **html("<h1>again</h1>")), "on /: leaves the page with 2 h1; it had one"),
        (
            a("after", "p", **html("<h4>deep</h4><h2>b</h2><h4>x</h4>")),
            "breaks the order of headings: h4 follows h2, 2 times",
        ),
        (a("after", "p", **html("<i id=two></i>")), "makes the id `two` stand 2 times"),
        (a("after", "p", **html("<i id=\u00fc></i>")), "makes the id `\u00fc` stand 2 times"),
        (a("setTokens", ":root", tokens={"--ink": "#999"}), "gives `body` a contrast of 2.8"),
        (a("setStyle", "p", properties={"color": "#ff0", "background": "#fff"}), "gives `p` a contrast of 1.1"),
    ],
)
def test_what_is_new_and_wrong_is_told(operation: dict[str, Any], message: str) -> None:
    [only] = found(operation)
    assert message in only


def test_media_keep_their_place_free() -> None:
    [message] = found(a("after", "p", **html("<img src=/a.png>")))
    assert message.startswith("operation 1 (p) inserts <img> without `width` and `height`")
    for sized in ("width=8 height=8", "style='aspect-ratio: 1'", "style='width:8px;height:8px'"):
        assert found(a("after", "p", **html(f"<img src=/a.png {sized}>"))) == []


def test_what_the_browser_does_late_moves_what_stands_below() -> None:
    late = a("after", "p", content={"text": "x"})
    [message] = found(late, delivery="client")
    assert "is done in the browser when the page is already there" in message
    assert found(late, delivery="client", trigger={"on": "client", "when": {"event": "exitIntent"}}) == []
    assert found(a("setAttribute", "p", name="title", value="x"), delivery="client") == []
