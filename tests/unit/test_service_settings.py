"""The service's ``Settings``: immutable, and errors that show no values."""

import pytest
from pydantic import ValidationError

from clusterpass.service.settings.service import Settings


@pytest.mark.parametrize(
    "given",
    [
        {"port": "secret-of-the-port"},
        {"store_url": 5, "store_password": ["secret-of-the-store"]},
        {"unknown": "secret-of-a-misspelt-setting"},
    ],
)
def test_an_error_does_not_show_what_was_given(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**given)  # type: ignore[arg-type]
    assert "secret-of" not in str(refused.value)


def test_settings_do_not_change() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 81  # type: ignore[misc]
    assert settings.port == Settings().port
