"""``clusterpass config``: the display of a value."""

import pytest

from clusterpass.cli import config


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (0, "0"),
        (False, "false"),
        (True, "true"),
        (0.5, "0.5"),
        ("text", "text"),
        (["a", 5], "a,5"),
    ],
)
def test_a_value_as_text(value: object, shown: str) -> None:
    assert config._as_text(value) == shown
