"""Fields and cookies: their value where it is certain."""

from multidict import CIMultiDict

from sidecar.context.fields import cookie, only


def test_a_field_counts_when_it_is_there_once() -> None:
    fields = CIMultiDict([("X-A", " 1 "), ("X-B", "1"), ("x-b", "2")])
    assert [only(fields, name) for name in ("x-a", "X-B", "X-C")] == ["1", "", ""]


def test_a_cookie_counts_when_it_has_one_value() -> None:
    fields = CIMultiDict([("Cookie", 'a="1"; b=1; b=2; c=3'), ("Cookie", "c=3; d")])
    assert [cookie(fields, name) for name in "abcd"] == ["1", "", "3", ""]
