"""The service's ``Settings``: immutable, and errors that show no values."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
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


def test_the_passphrase_of_the_key_file_may_be_in_a_file(tmp_path: Path) -> None:
    pem, phrase = tmp_path / "keys.pem", tmp_path / "phrase"
    hidden = BestAvailableEncryption(b"of a passphrase")
    key = Ed25519PrivateKey.generate()
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    phrase.write_text("of a passphrase\n")
    for file in (pem, phrase):
        file.chmod(0o600)
    ring = Settings(keys_file=pem, keys_passphrase_file=phrase).key_ring()
    assert ring.signing_key.algorithm == "EdDSA"


def test_a_page_below_a_prefix_deletes_the_cookies_of_one_that_was_at_the_root() -> None:
    at_root = Settings(issuer="https://auth.example").web().cookies
    below = Settings(issuer="https://auth.example", page_prefix="/auth").web().cookies
    assert at_root.old == ()
    assert [(each.name, each.path) for each in below.old] == [
        (at_root.access.name, "/"),
        (at_root.refresh.name, "/"),
    ]
    assert below.access.path == "/auth"
