"""The configuration from variables of the environment, which the auth service reads too."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from clusterpass import AuditPolicy, Config, ConfigurationError, KeyRing, SessionPolicy
from clusterpass.config import _VARIABLES_OF_THE_SERVICE, SETTINGS
from clusterpass.service.settings.service import Settings

KEYS = KeyRing.generate()
LEAST = {"CLUSTERPASS_ISSUER": "https://a.example", "CLUSTERPASS_KEYS": KEYS.private_jwks_text()}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    KEYS.save(path)
    return path


def test_the_least(keys_file: Path) -> None:
    config = Config.from_env(LEAST)
    assert (config.issuer, config.audience) == ("https://a.example", "https://a.example")
    assert config.keys.signing_key.kid == KEYS.signing_key.kid
    again = Config.from_env(
        {"CLUSTERPASS_ISSUER": "i", "CLUSTERPASS_KEYS_FILE": str(keys_file), "HOME": "/"}
    )
    assert again.keys.signing_key.kid == KEYS.signing_key.kid


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LEAST.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLUSTERPASS_ACCESS_LIFETIME", "60")
    assert Config.from_env().access_lifetime == 60


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("audience", "https://b.example", "https://b.example"),
        ("client_id", "shop", "shop"),
        ("access_lifetime", " 60 ", 60),
        ("staleness_bound", "1.5", 1.5),
        ("outage_grace", "5", 5.0),
        ("index_online", "false", False),
        ("index_online", "ON", True),
        ("step_up_ends_older_tokens", "1", True),
        ("levels", "low, high", ("low", "high")),
        ("protected_subjects", "root,admin", frozenset({"root", "admin"})),
        ("verification", "strict", "strict"),
        ("durability", "primary", "primary"),
        ("access_lifetime", "", 900),
    ],
)
def test_every_kind_of_setting(name: str, text: str, value: Any) -> None:
    config = Config.from_env({**LEAST, f"CLUSTERPASS_{name.upper()}": text})
    assert getattr(config, name) == value


def test_the_policy() -> None:
    config = Config.from_env(
        {
            **LEAST,
            "CLUSTERPASS_MAX_SESSIONS": "3",
            "CLUSTERPASS_MAX_PER_DEVICE": "1",
            "CLUSTERPASS_OVERFLOW": "refuse",
        }
    )
    assert config.policy == SessionPolicy(max_sessions=3, max_per_device=1, overflow="refuse")


def test_the_audit_trail() -> None:
    bounds = {"CLUSTERPASS_AUDIT_RETENTION": "7200", "CLUSTERPASS_AUDIT_ENTRIES": "2000"}
    config = Config.from_env({**LEAST, **bounds, "CLUSTERPASS_AUDIT": "true"})
    assert config.audit == AuditPolicy(retention=7200, most_entries=2000)
    assert Config.from_env({**LEAST, **bounds, "CLUSTERPASS_AUDIT": "false"}).audit is None
    assert Config.from_env({**LEAST, **bounds}).audit is None


def test_arguments_override_the_environment() -> None:
    environ = {**LEAST, "CLUSTERPASS_ACCESS_LIFETIME": "60"}
    config = Config.from_env(environ, access_lifetime=70, issuer="https://c.example")
    assert (config.access_lifetime, config.issuer) == (70, "https://c.example")
    assert Config.from_env({}, issuer="i", keys=KEYS).issuer == "i"


@pytest.mark.parametrize(
    ("name", "text", "meaning"),
    [
        ("ACCESS_LIFETIME", "soon", "a whole number"),
        ("STALENESS_BOUND", "soon", "a number"),
        ("INDEX_ONLINE", "soon", "true or false"),
    ],
)
def test_an_error_names_the_variable_and_not_its_value(name: str, text: str, meaning: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Config.from_env({**LEAST, f"CLUSTERPASS_{name}": text})
    assert str(caught.value) == f"CLUSTERPASS_{name} must be {meaning}"
    assert caught.value.__cause__ is None


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="access_lifetime"):
        Config.from_env({**LEAST, "CLUSTERPASS_ACCESS_LIFETIME": "1"})


def test_a_misspelt_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="did you mean CLUSTERPASS_ACCESS_LIFETIME"):
        Config.from_env({**LEAST, "CLUSTERPASS_ACCES_LIFETIME": "60"})
    with pytest.raises(ConfigurationError, match="did you mean CLUSTERPASS_STORE_URL"):
        Config.from_env({**LEAST, "CLUSTERPASS_STORE_URI": "redis://"})
    with pytest.raises(ConfigurationError, match="did you mean CLUSTERPASS_PORT"):
        Config.from_env({**LEAST, "CLUSTERPASS_PROT": "8000"})
    for name in ("HOME", "URL", "PORT_8000_TCP", "SERVICE_HOST", "SERVICE_PORT_HTTP"):
        assert Config.from_env({**LEAST, f"CLUSTERPASS_{name}": "somebody else's"})
    assert Config.from_env({**LEAST, "CLUSTERPASS_TEST_SEED": "1", "CLUSTERPASS_STORE_URL": "x"})


@pytest.mark.parametrize("name", ["ISSUER", "KEYS"])
def test_what_is_missing_is_named(name: str) -> None:
    environ = {each: value for each, value in LEAST.items() if each != f"CLUSTERPASS_{name}"}
    wanted = "CLUSTERPASS_KEYS_FILE" if name == "KEYS" else "CLUSTERPASS_ISSUER"
    with pytest.raises(ConfigurationError, match=f"{wanted} is not set"):
        Config.from_env(environ)


def test_a_key_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.json"):
        Config.from_env(
            {"CLUSTERPASS_ISSUER": "i", "CLUSTERPASS_KEYS_FILE": str(tmp_path / "gone.json")}
        )


def test_every_setting_has_a_variable() -> None:
    settings = {each.name for each in fields(Config)} - {"policy", "keys"}
    assert settings <= SETTINGS.keys()


def test_the_service_has_the_same_variables() -> None:
    of_the_service = set(Settings.model_fields) | {"config"}
    assert of_the_service <= SETTINGS.keys() | set(_VARIABLES_OF_THE_SERVICE)
    assert set(_VARIABLES_OF_THE_SERVICE) <= of_the_service


def test_a_file_with_secrets_is_bounded_and_one_that_others_can_read_is_told_of(tmp_path, caplog):
    from clusterpass.model.environment_settings import read_secret_file

    with pytest.raises(ConfigurationError, match="is larger than"):
        read_secret_file("key_encryption_keys_file", "/dev/zero")
    file = tmp_path / "the key"
    file.touch(0o600)
    file.write_bytes(b"x" * 65_537)
    with pytest.raises(ConfigurationError, match="is larger than 65536 bytes"):
        read_secret_file("key_encryption_keys_file", file)
    file.write_bytes(b"x" * 65_536)
    assert read_secret_file("key_encryption_keys_file", file) == "x" * 65_536
    file.write_text("cpk_x")
    file.chmod(0o600)
    assert read_secret_file("key_encryption_keys_file", file) == "cpk_x"
    assert caplog.text == ""
    file.chmod(0o644)
    for _ in range(2):
        read_secret_file("key_encryption_keys_file", file)
    (line,) = caplog.messages
    assert line.endswith(f"run: chmod 600 '{file}'")
    assert "cpk_x" not in line
