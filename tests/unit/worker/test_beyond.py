"""Numbers that passed a limit do not look like it."""

import pytest

from worker.beyond import beyond
from worker.properties.elasticity import why_no_stiffness


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        (10.04, 10.0, "10.04"),
        (12.34, 10.0, "12"),
        (152.3, 10.0, "152"),
        (150.4, 150.0, "150.4"),
        (-0.0100004, 0.01, "-0.0100004"),
        (0.31, 0.1, "0.31"),
        (0.3999, 0.4, "0.3999"),
        (99.4999, 99.5, "99"),
        (2.5e-6, 1e-6, "2.5e-06"),
        (10.0, 10.0, "10"),
    ],
)
def test_a_number_is_told_from_its_limit(value, limit, text) -> None:
    assert beyond(value, limit) == text


def test_a_stiffness_that_is_off_by_little_more_than_the_limit_says_so() -> None:
    assert "C differs by 10.04 %" in (why_no_stiffness(100.0, 0.0, 10.04) or "")
    assert "its transpose by 5.01 %" in (why_no_stiffness(100.0, 5.01, 0.0) or "")
