"""Whatever an author wrote, the data for the browser script stays data, and the page with it the page that it was."""

import json

import turbohtml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules import model
from rules.group import Group
from rules.html import Rewritten, Script, apply_groups
from rules.model import Content, Delivery, Target
from rules.reasons import Reason
from tests.properties.markup import operations, pages

HOSTILE = st.sampled_from(
    ["</script>", "<!--", "<script>", "-->", "]]>", "\\u003c", '"', "\\", "&lt;", "\u2028", "\0", "\ud800", "é", "😀"]
)
WORDS = st.lists(HOSTILE | st.text(max_size=5), max_size=8).map("".join)


@given(WORDS, WORDS, st.sampled_from(["utf-8", "iso-8859-1", "shift_jis", "gbk"]))
@example("<!--<script>", "</script>", "utf-8")
def test_the_data_is_what_the_author_wrote(words: str, nonce: str, charset: str) -> None:
    operations = (
        model.SetText(target=Target(selector="p"), content=Content(text=words)),
        model.SetAttribute(target=Target(selector="p"), name="title", value=words),
    )
    group = Group("m", operations, delivery=Delivery.CLIENT)
    page = "<!doctype html><head><title>t</title></head><body><p>x</p></body>".encode(charset)
    result = apply_groups(page, [group], charset=charset, script=Script("/s.js", nonce=nonce))
    assert isinstance(result, Rewritten)
    tree = turbohtml.parse(result.page.decode(charset))
    data, script = tree.select("script")
    told = json.loads(data.text)["groups"][0]["operations"]
    assert (told[0]["text"], told[1]["value"]) == (words, words)
    assert data.next_sibling is script
    for own in (data, script):
        own.extract()
    assert tree.equals(turbohtml.parse(page.decode(charset)))


SCRIPT = Script("/s.js", nonce="n")
DELIVERED = st.lists(
    st.builds(
        Group,
        st.uuids().map(str),
        st.lists(operations(), min_size=1, max_size=3).map(tuple),
        delivery=st.sampled_from(Delivery),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(pages(), DELIVERED)
def test_whatever_is_delivered_the_page_is_proven(given_page: tuple[bytes, str | None], groups: list[Group]) -> None:
    page, charset = given_page
    result = apply_groups(page, groups, charset=charset, script=SCRIPT)
    proven = apply_groups(page, groups, charset=charset, script=SCRIPT, prove_all=True)
    assert result == proven
    if not isinstance(result, Rewritten):
        return
    assert [outcome.mutation_id for outcome in result.outcomes] == [group.mutation_id for group in groups]
    told = {outcome.reason for outcome in result.outcomes}
    assert result.calls_script or Reason.DELIVERED not in told
    assert not (result.calls_script and Reason.NOT_DELIVERED in told)
    assert (b"/s.js" in result.page.replace(b"\0", b"")) is result.calls_script
