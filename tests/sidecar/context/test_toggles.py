"""Operators' switches: with the token, and without."""

from multidict import CIMultiDict

from sidecar.context import toggles

SECRET = "a-secret-of-some-length"


def read(token: str | None = SECRET, secret: str = SECRET, **fields: str) -> toggles.Toggles | None:
    given = CIMultiDict({f"x-layout-mutation-{name}": value for name, value in fields.items()})
    if "off" in fields:
        given["X-Layout-Mutation"] = fields["off"]
    if token is not None:
        given["X-Layout-Mutation-Token"] = token
    return toggles.read(given, secret)


def test_without_the_right_token_nothing_is_obeyed() -> None:
    assert read(token=None, off="off") is None
    assert read(token="wrong", off="off") is None
    assert read(token="ü\udce9", off="off") is None
    assert read(token="", secret="", off="off") is None


def test_what_can_be_switched() -> None:
    given = read(off=" OFF ", disable="hero, , cta", only="hero", force="price = b, broken", explain=" 1")
    assert given == toggles.Toggles(
        off=True, disabled=frozenset({"hero", "cta"}), only=frozenset({"hero"}), forced={"price": "b"}, explain=True
    )


def test_words_that_name_nothing_are_known() -> None:
    given = read(disable="hero, layre:micro, layer:micro", only="page:offers, *")
    assert given is not None
    assert given.disabled == frozenset({"hero", "layre:micro", "layer:micro"})
    assert given.not_understood == ("layre:micro", "page:offers")
    alone = read(disable="layre:micro")
    assert alone is not None
    assert alone.not_understood == ("layre:micro",)


def test_words_in_two_lines_count_and_only_off_switches_off() -> None:
    given = CIMultiDict([("X-Layout-Mutation-Token", SECRET), ("X-Layout-Mutation", "on")])
    given.extend([("X-Layout-Mutation-Disable", "hero"), ("x-layout-mutation-disable", "cta")])
    given.extend(
        [("X-Layout-Mutation-Explain", "0"), ("X-Layout-Mutation-Force", "a=b"), ("X-Layout-Mutation-Force", "c=d=e")]
    )
    told = toggles.read(given, SECRET)
    assert told == toggles.Toggles(disabled=frozenset({"hero", "cta"}), forced={"a": "b", "c": "d=e"})


def test_a_token_alone_switches_nothing() -> None:
    given = read()
    assert given == toggles.Toggles()
    assert given.operator, "who has the token is told how long things took"


def test_only_nothing_is_not_the_same_as_no_only() -> None:
    given = read(only="")
    assert given is not None
    assert given.only == frozenset()
