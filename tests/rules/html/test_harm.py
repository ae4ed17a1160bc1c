"""What content may not do, wherever HTML's parser hides it."""

import pytest

from rules import model
from rules.errors import RulesError
from rules.html.checks import check_operation
from rules.html.harm import FORBIDDEN_ELEMENTS, harm_of_name, harm_of_value
from rules.reasons import Reason
from tests.rules.html.making import at, html, reasons


@pytest.mark.parametrize(
    "markup",
    [
        '<math><title><body onload="x()">',
        "<title><img src=x onerror=x()></title><foreignObject><html></foreignObject>",
        "<style><script>x()</script></style><foreignObject><html></html></foreignObject>",
        "<svg><style><script>x()</script></style></svg>",
        "<select><image href=x onerror=x()></select>",
        "<svg><a xlink:href='java&#9;script:x()'><text>t</text></a></svg>",
        "<svg><animate attributeName=href values='#;javascript:x()'></animate></svg>",
        "<template><img onerror=x() src=y></template>",
        "<body class=mine>",
        "<iframe src='da&#9;ta:text/html,x'></iframe>",
        "<a href='data:text/html,x'>y</a>",
        "<svg><use href='data:image/svg+xml,x#y'></use></svg>",
        "<svg><use xlink:href='data:image/svg+xml;base64,AA#y'></use></svg>",
        "<svg><use><set attributeName=href to='data:image/svg+xml,x#y'></set></use></svg>",
        "<svg><use><animate attributeName=href values='data:image/png,x'></animate></use></svg>",
        *(f"<{tag}></{tag}>" for tag in sorted(FORBIDDEN_ELEMENTS)),
    ],
)
def test_content_that_would_do_harm_somewhere(markup: str) -> None:
    with pytest.raises(RulesError, match=r"is not allowed|not balanced"):
        check_operation(model.Append(target=at("p"), content=html(markup)), "$")


@pytest.mark.parametrize(
    "markup",
    [
        "<svg><title>ok</title><path d='M0 0'/></svg>",
        "<img src='data:image/png;base64,AA' alt=''>",
        "<iframe src=/embed></iframe>",
        "<a href='/x?a=data:'>y</a>",
        "<style>.a{color:red}</style>",
        "<form action=/basket><button formaction=/now>Buy</button></form>",
    ],
)
def test_content_that_does_none(markup: str) -> None:
    check_operation(model.Append(target=at("p"), content=html(markup)), "$")


def test_an_address_is_judged_by_the_element_too() -> None:
    picture = "data:image/svg+xml,x"
    assert not harm_of_value("src", picture, "img")
    assert harm_of_value("src", picture, "iframe")
    assert harm_of_value("href", picture, "use")
    assert not harm_of_value("href", picture, "image")
    assert not harm_of_value("title", "javascript:")
    assert harm_of_name("onclick")
    operation = model.SetAttribute(target=at("iframe"), name="src", value=picture)
    assert reasons("<iframe src=/a></iframe>", operation) == [Reason.UNSAFE_TARGET]


def test_where_an_attribute_decides_how_content_is_read_nothing_is_written() -> None:
    page = "<math><annotation-xml encoding='text/html'><p>x</p></annotation-xml></math>"
    assert reasons(page, model.Append(target=at("p"), content=html("<b>y</b>"))) == [Reason.UNSAFE_TARGET]
