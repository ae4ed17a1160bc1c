"""How figures and days are written."""

from datetime import date

import pytest

from demo.rendering import longdate, money


@pytest.mark.parametrize(("pence", "text"), [(0, "£0.00"), (5, "£0.05"), (950, "£9.50"), (123456, "£1234.56")])
def test_prices_have_two_places(pence: int, text: str) -> None:
    assert money(pence) == text


def test_days_are_written_out() -> None:
    assert longdate(date(2026, 3, 8)) == "8 March 2026"
