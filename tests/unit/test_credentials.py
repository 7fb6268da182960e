"""Credentials for connections that expire: when authentication is tried again."""

from math import inf

import pytest

from clusterpass.store.credentials import pause_after_failure


@pytest.mark.parametrize(
    ("left", "pause"),
    [(inf, 1.0), (60.0, 1.0), (2.0, 0.51), (0.4, 0.11), (0.0, 0.01), (-5.0, 0.01)],
)
def test_who_could_not_authenticate_tries_again_before_the_credentials_expire(
    left: float, pause: float
) -> None:
    assert pause_after_failure(100.0, 100.0 + left) == pytest.approx(pause)
