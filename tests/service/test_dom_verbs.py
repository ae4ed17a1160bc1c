"""Verbs on a tree: the order in which several have to be carried out. Each verb alone is in `test_second_opinion.py`."""

import pytest

from rules import model
from rules.model import decode_operations
from service.dom_verbs import UnknownVerbError, Work, carry_out
from service.page_trees import SelectolaxPage, first_difference


def becomes(page: str, operations: str, expected: str) -> None:
    tree = SelectolaxPage(page)
    work = Work(tree)
    pairs = [(one, element) for one in decode_operations(operations.encode()) for element in tree.select("p")]
    carry_out(work, pairs)
    assert first_difference(SelectolaxPage(expected).root, tree.root) is None


def operation(verb: str, text: str) -> str:
    return f'{{"verb":"{verb}","target":{{"selector":"p"}},"content":{{"html":"{text}"}}}}'


def test_insertions_at_one_place_stand_as_a_browser_s_dom_would_leave_them() -> None:
    for verb, expected in (
        ("before", "<i>1</i><b>2</b><p>x</p>"),
        ("after", "<p>x</p><b>2</b><i>1</i>"),
        ("prepend", "<p><b>2</b><i>1</i>x</p>"),
        ("append", "<p>x<i>1</i><b>2</b></p>"),
    ):
        becomes("<p>x</p>", f"[{operation(verb, '<i>1</i>')},{operation(verb, '<b>2</b>')}]", expected)


def test_what_was_inserted_outlives_the_content_that_is_replaced() -> None:
    for first, second in ((0, 1), (1, 0)):
        both = [operation("append", "<i>1</i>"), operation("setInnerContent", "<b>2</b>")]
        becomes("<p>x</p>", f"[{both[first]},{both[second]}]", "<p><b>2</b><i>1</i></p>")
        becomes("<p></p>", f"[{both[first]},{both[second]}]", "<p><b>2</b><i>1</i></p>")


def test_tags_go_last() -> None:
    unwrap = '{"verb":"removeAndKeepContent","target":{"selector":"p"}}'
    becomes("<p>x</p>", f"[{unwrap},{operation('append', '<i>1</i>')}]", "x<i>1</i>")
    becomes("<p>x</p>", f"[{unwrap},{operation('setInnerContent', '<b>2</b>')}]", "<b>2</b>")


def test_attributes_of_a_drawing_keep_their_case() -> None:
    tree = SelectolaxPage("<svg viewBox='0 0 1 1'></svg>")
    (operation,) = decode_operations(
        b'[{"verb":"setAttribute","target":{"selector":"svg"},"name":"viewbox","value":"1"}]'
    )
    carry_out(Work(tree), [(operation, tree.select("svg")[0])])
    assert tree.select("svg")[0].attributes == {"viewBox": "1"}


def test_who_is_asked_for_an_unknown_verb_says_so() -> None:
    class Strange(model.Remove, tag="strange", frozen=True):
        """Somebody else's."""

    tree = SelectolaxPage("<p>x")
    with pytest.raises(UnknownVerbError, match="strange"):
        carry_out(Work(tree), [(Strange(target=model.Target(selector="p")), tree.select("p")[0])])
