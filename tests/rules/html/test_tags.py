"""Changes of one start tag, and what two mutations may ask of it."""

from collections.abc import Callable

import pytest

from rules.html.edits import splice
from rules.html.tags import TagChanges, tag_edits
from tests.rules.html.making import document


def changed(tag: str, **asked: str | None) -> str | None:
    found = document(tag)
    changes = TagChanges(found.root.select("body *")[0])
    for name, value in asked.items():
        assert changes.set(name.replace("_", "-"), value)
    edits = tag_edits(found, changes)
    return None if edits is None else splice(tag.encode(), edits).decode()


@pytest.mark.parametrize(
    ("tag", "name", "value", "want"),
    [
        ("<p>", "id", "x", '<p id="x">'),
        ("<p >", "id", "x", '<p id="x" >'),
        ("<br/>", "id", "x", '<br id="x"/>'),
        ("<p id>", "id", "x", '<p id="x">'),
        ("<p id=a>", "id", "", '<p id="">'),
        ("<p id = 'a' b>", "id", 'x"&', '<p id="x&quot;&amp;" b>'),
        ("<p ID=a>", "id", "a", "<p ID=a>"),
        ("<p id=a/>", "id", "x", '<p id="x">'),
        ("<p id=a b>", "id", None, "<p  b>"),
        ("<p id=a>", "title", None, "<p id=a>"),
        ("<p id=a id=b>", "id", None, None),
        (f"<p{' a' + ' a'.join(map(str, range(1_001)))}>", "id", "x", None),
        ("<p\nid=a>", "id", "é", '<p\nid="é">'),
        ("<p id=a>", "id", "a\r\nb", '<p id="a\r\nb">'),
    ],
)
def test_an_attribute(tag: str, name: str, value: str | None, want: str | None) -> None:
    assert changed(tag, **{name: value}) == want


@pytest.mark.parametrize(
    ("tag", "added", "removed", "want"),
    [
        ("<p>", ["a"], [], '<p class="a">'),
        ("<p class>", ["a"], [], '<p class="a">'),
        ("<p class=''>", ["a"], [], "<p class='a'>"),
        ("<p class=x>", ["a"], [], '<p class="x a">'),
        ('<p class=" x\ty ">', ["a"], [], '<p class=" x\ty  a">'),
        ('<p class="x y z">', [], ["y"], '<p class="x z">'),
        ('<p class="x y z">', ["a"], ["x", "y", "z"], '<p class="a">'),
        ("<p class=x>", [], ["x"], "<p class=>"),
        ('<p class="a&amp;b c">', [], ["a&b"], '<p class=" c">'),
        ('<p class="é">', ["é"], [], '<p class="é">'),
        ('<p class="é x">', [], ["é"], '<p class=" x">'),
        ('<p class="x">', [], ["y"], '<p class="x">'),
    ],
)
def test_classes(tag: str, added: list[str], removed: list[str], want: str) -> None:
    found = document(tag)
    changes = TagChanges(found.select("p")[0])
    assert changes.change_classes(added, removed)
    edits = tag_edits(found, changes)
    assert edits is not None
    assert splice(tag.encode(), edits).decode() == want


def test_two_values_for_one_attribute() -> None:
    changes = TagChanges(document("<p>").select("p")[0])
    assert changes.set("id", "a")
    assert changes.set("id", "a")
    assert not changes.set("id", "b")
    assert not changes.set("id", None)


def test_classes_and_the_whole_class_attribute() -> None:
    changes = TagChanges(document("<p>").select("p")[0])
    assert changes.change_classes(["a"], [])
    assert not changes.change_classes([], ["a"])
    assert not changes.set("class", "x")
    other = TagChanges(changes.element)
    assert other.set("class", "x")
    assert not other.change_classes(["a"], [])
    copy = changes.copy()
    assert copy.change_classes(["b"], [])
    assert "b" not in changes.added


def amended(tag: str, change: Callable[[TagChanges], bool]) -> str | None:
    found = document(tag)
    changes = TagChanges(found.root.select("body *")[0])
    assert change(changes)
    edits = tag_edits(found, changes)
    return None if edits is None else splice(tag.encode(), edits).decode()


@pytest.mark.parametrize(
    ("tag", "want"),
    [
        ("<p>", '<p style="color:blue">'),
        ("<p style>", '<p style="color:blue">'),
        ("<p style=''>", "<p style='color:blue'>"),
        ("<p style=top:0 id=a>", '<p style="top:0;color:blue" id=a>'),
        ("<p STYLE='top:&#48;; color:red;left:0'>", "<p STYLE='top:&#48;;left:0;color:blue'>"),
        ('<p style="font-family:&quot;a;b&quot;">', '<p style="font-family:&quot;a;b&quot;;color:blue">'),
        ("<p style='color:blue'>", "<p style='color:blue'>"),
        ("<p style='ä:ü'>", "<p style='ä:ü;color:blue'>"),
        ("<p style=a style=b>", '<p style="a;color:blue" style=b>'),
        ("<p style='top:(0'>", None),
        ("<p style='top:0\\'>", None),
        ("<p style='/*'>", None),
        ('<p style=a"b>', None),
        ("<p style='--a:&#65'>", None),  # our semicolon would end the reference
        ("<p style='--a:&copy'>", None),
        ("<p style='--a:&copy;'>", "<p style='--a:&copy;;color:blue'>"),
    ],
)
def test_declarations(tag: str, want: str | None) -> None:
    assert amended(tag, lambda changes: changes.set_properties({"color": "blue"})) == want


@pytest.mark.parametrize(
    ("tag", "want"),
    [
        ("<a href=/x?a=1>", '<a href="/x?a=1&amp;u=%26+%27">'),
        ("<a href='/x?a=1&amp;u=2&amp;b#c'>", "<a href='/x?a=1&amp;u=%26+%27&amp;b#c'>"),
        ("<a href='/x?a&sect=1&amp;'>", "<a href='/x?a&sect=1&amp;u=%26+%27'>"),
        ("<a href='/ä\n'>", "<a href='/ä?u=%26+%27\n'>"),
        ("<a href='/x\n?y'>", None),
    ],
)
def test_parameters(tag: str, want: str | None) -> None:
    assert amended(tag, lambda changes: changes.set_parameters({"u": "& '"})) == want


def test_quotes_of_a_value_are_escaped_for_the_quotes_that_are_there() -> None:
    wanted = {"content": '"\'\u20ac"', "font": "'a&b'"}
    expected = "content:&quot;'€&quot;;font:'a&amp;b'"
    assert amended("<p>", lambda changes: changes.set_properties(wanted)) == f'<p style="{expected}">'
    single = expected.replace("'", "&#39;").replace("&quot;", '"')
    assert amended("<p style=''>", lambda changes: changes.set_properties(wanted)) == f"<p style='{single}'>"


def test_what_two_mutations_may_ask_of_a_value() -> None:
    changes = TagChanges(document("<p>").select("p")[0])
    assert changes.set_properties({"color": "red"})
    assert changes.set_properties({"color": "red", "top": "0"})
    assert not changes.set_properties({"left": "0", "color": "blue"})
    assert changes.properties == {"color": "red", "top": "0"}
    assert not changes.set("style", "x")
    assert not changes.set("style", None)
    assert changes.set("href", "/")
    assert not changes.set_parameters({"a": "b"})
    copy = changes.copy()
    assert copy.set_properties({"left": "0"})
    assert changes.touched == copy.touched == {"style", "href"}
    assert "left" not in changes.properties
