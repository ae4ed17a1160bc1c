"""Words by which a request switches: which are understood, and that no word is ever an error."""

import pytest

from rules.switch_words import Kind, allowed, not_understood, words_of
from tests.rules.making import visit


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("hero", Kind.MODULE, "hero"),
        ("module:hero", Kind.MODULE, "hero"),
        ("module:shop:hero", Kind.MODULE, "shop:hero"),
        ("mutation:0196-a", Kind.MUTATION, "0196-a"),
        ("experiment:price", Kind.EXPERIMENT, "price"),
        ("layer:micro", Kind.LAYER, "micro"),
        ("page:/offers/**", Kind.PAGE, "/offers/**"),
        ("page:*", Kind.PAGE, "*"),
        ("*", Kind.EVERYTHING, ""),
    ],
)
def test_a_word_that_is_understood(text: str, kind: Kind, name: str) -> None:
    (word,) = words_of(frozenset({text})).words
    assert (word.text, word.kind, word.name) == (text, kind, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "layer:",
        "layer:macro",
        "layre:micro",
        "Layer:micro",
        "page:offers",
        "page:/offers?x=1",
        "page:" + "/**" * 400,
        "page:/\udc80*",
        "*:a",
        "module:",
        "shop:hero",
        "javascript:alert(1)",
    ],
)
def test_a_word_that_is_not(text: str) -> None:
    assert words_of(frozenset({text, "hero"})).not_understood == (text,)
    assert [word.name for word in words_of(frozenset({text, "hero"})).words] == ["hero"]


def test_what_a_visit_was_not_understood_in() -> None:
    assert not_understood(visit()) == ()
    assert not_understood(visit(disabled=frozenset({"hero", "z:1"}))) == ("z:1",)
    assert not_understood(visit(only=frozenset({"a:1"}))) == ("a:1",)
    asked = visit(disabled=frozenset({"hero", "z:1"}), only=frozenset({"a:1", "layer:page"}))
    assert not_understood(asked) == ("a:1", "z:1")


def test_people_are_told_how_words_look() -> None:
    assert allowed() == (
        "a module's id, `*`, `module:…`, `mutation:…`, `experiment:…`, `layer:…`, `page:…`; "
        "layers: global, page, module, micro"
    )
