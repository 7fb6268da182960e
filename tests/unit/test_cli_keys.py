"""Files that the key commands read, without options for it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from clusterpass import KeyRing
from clusterpass.cli.keys import keys

PASSPHRASE = "of a passphrase"


def test_files_are_read_as_the_settings_of_the_service_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, phrase, output = tmp_path / "key.pem", tmp_path / "phrase", tmp_path / "keys.json"
    hidden = BestAvailableEncryption(PASSPHRASE.encode())
    key = Ed25519PrivateKey.generate()
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    pem.chmod(0o644)
    phrase.write_text(PASSPHRASE)
    phrase.chmod(0o600)
    command = ["import", str(pem), "--output", str(output), "--json"]
    monkeypatch.setenv("CLUSTERPASS_KEYS_PASSPHRASE_FILE", str(phrase))
    assert CliRunner().invoke(keys, command).exit_code != 0, "others can read the key"
    monkeypatch.setenv("CLUSTERPASS_KEYS_FILE_ACCESS", "any")
    done = CliRunner().invoke(keys, command)
    assert done.exit_code == 0, done.output
    assert PASSPHRASE not in done.output
    (written,) = json.loads(done.stdout)["keys"]
    assert written["key_id"] == KeyRing.load(output).signing_key.kid
    monkeypatch.delenv("CLUSTERPASS_KEYS_PASSPHRASE_FILE")
    assert CliRunner().invoke(keys, command).exit_code != 0, "it is encrypted"


def test_which_half_of_each_key_was_written_is_told(tmp_path: Path) -> None:
    mine, theirs, output = (tmp_path / name for name in ("mine.json", "theirs.json", "keys.json"))
    first, second = KeyRing.generate(), KeyRing.generate()
    first.save(mine)
    theirs.write_text(json.dumps(second.public_jwks()))
    done = CliRunner().invoke(keys, ["import", str(mine), str(theirs), "--output", str(output)])
    assert done.exit_code == 0, done.output
    halves = (("private", first), ("public", second))
    for half, ring in halves:
        (key,) = ring.all()
        assert f"wrote one {half} EdDSA key to {output}, key id {key.kid}\n" in done.stderr
