"""Content that is taken has no script but data, wherever it is written and whoever parses the page."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rules import model
from rules.errors import RulesError
from rules.html import Rewritten, rewrite
from tests.trees import ORACLES, Branch

bounded = settings(max_examples=300, deadline=None)

PIECES = st.sampled_from(
    """
    <script <SCRIPT </script </script> > /> > <script> type=application/json TYPE="Application/LD+JSON" type=text/javascript
    type='application/json' type="application/json;x" type=module src=/x href=/x xlink:href=/x onload=x() {"a":1} "x" 1 []
    <!-- --> <!--<script> <svg> </svg> <math> </math> <style> </style> <title> </title> <textarea> </textarea> <template>
    </template> <p> </p> <b> </b> <table> <tr> <td> </table> <select> </select> <foreignObject> </foreignObject>
    <annotation-xml encoding=text/html> <![CDATA[ ]]> <noscript> </noscript> <xmp> </xmp> <body type=x> <img src=x>
    type&#61;x &lt;script&gt; <script\ttype=application/json>1</script> <script\ttype="application/json">"</script>
    """.split()
).map(lambda piece: piece.replace("\t", " "))
CONTENT = st.lists(PIECES | st.sampled_from([" ", "\n", "\t", "/", "\f"]), min_size=1, max_size=10).map("".join)
ATTRIBUTES = st.lists(
    st.sampled_from(
        """type=application/json TYPE="Application/LD+JSON" type=text/javascript type=module type="" type src=/x href=/x
        xlink:href=/x SRC="" id=a type=application/json; type='application/json' type=importmap/ type=application/json/ a/b
        """.split()
    ),
    max_size=3,
).map(" ".join)
JSON = st.sampled_from(
    ['{"a":1}', "1", '"<b>"', '"<!--"', '"<!--<script>"', '"</script >"', "[]", '"&quot;"', "x()", ""]
)
SCRIPTS = st.builds("<script {}>{}</script>".format, ATTRIBUTES, JSON)
IN_SVG = st.builds("<svg>{}</svg>".format, SCRIPTS)
WHOLE = st.lists(SCRIPTS | IN_SVG | CONTENT | st.just("<b>x</b>"), min_size=1, max_size=2).map("".join)
PAGES = (
    "<!doctype html><html><head><title>t</title></head><body><div id=e>x</div></body></html>",
    "<!doctype html><html><head><title>t</title></head><body><svg><g id=e></g></svg></body></html>",
    "<!doctype html><html><head><title>t</title></head><body><table><tbody id=e></tbody></table></body></html>",
    "<!doctype html><html id=e><head><title>t</title></head><body>x</body></html>",
)


def scripts(node: Branch) -> list[Branch]:
    """All script elements of a tree."""
    inside = [found for child in node.children if isinstance(child, Branch) for found in scripts(child)]
    return [node, *inside] if node.tag.lower() == "script" else inside


def is_data(script: Branch) -> bool:
    kind = script.attributes.get("type", "").lower()
    sources = {"src", "href", "xlink:href"} & {name.lower() for name in script.attributes}
    return kind in ("application/json", "application/ld+json") and not sources


@bounded
@given(
    WHOLE, st.sampled_from(PAGES), st.sampled_from([model.Append, model.Prepend, model.SetInnerContent, model.After])
)
def test_no_script_runs(markup: str, page: str, verb: type[model.Append]) -> None:
    target = model.Target(selector="#e")
    try:
        result = rewrite(page.encode(), [verb(target=target, content=model.Content(html=markup))], charset="utf-8")
    except RulesError:
        return
    if isinstance(result, Rewritten):
        for oracle in ORACLES:
            assert all(map(is_data, scripts(oracle(result.page.decode()))))


def test_data_is_taken() -> None:
    content = model.Content(html='<script type="application/json">{"a":1}</script>')
    for page in PAGES[:3]:
        assert isinstance(
            rewrite(page.encode(), [model.Append(target=model.Target(selector="#e"), content=content)]), Rewritten
        )
