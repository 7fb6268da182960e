"""Misspelt variables and settings are refused; those of somebody else are left alone."""

import pytest

from clusterpass import (
    ConfigurationError,
)
from clusterpass.service.settings.loading import load_settings, make_settings
from clusterpass.service.settings.service import Settings


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("CLUSTERPASS_ACCES_LIFETIME", "CLUSTERPASS_ACCESS_LIFETIME"),
        ("CLUSTERPASS_STORE_URI", "CLUSTERPASS_STORE_URL"),
        ("CLUSTERPASS_PROT", "CLUSTERPASS_PORT"),
        ("clusterpass_worker", "CLUSTERPASS_WORKERS"),
    ],
)
def test_a_misspelt_variable_is_refused(monkeypatch, written, meant):
    monkeypatch.setenv(written, "secret-value")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value) == f"{written} is no setting; did you mean {meant}?"


@pytest.mark.parametrize(
    "name",
    [
        *("PORT_8000_TCP", "PORT_8000_TCP_ADDR", "SERVICE_HOST", "SERVICE_PORT_HTTP"),  # Kubernetes
        *("KEYS", "CLOCK_LEEWAY", "EXPIRY_LEEWAY"),  # the library
        *("TEST_SEED", "LOGIN_URL", "HOME"),
    ],
)
def test_a_variable_of_somebody_else_is_left_alone(monkeypatch, name):
    monkeypatch.setenv(f"CLUSTERPASS_{name}", "")
    assert load_settings().port == 8000


def test_a_misspelt_setting_in_a_file_is_refused(tmp_path):
    file = tmp_path / "service.toml"
    for written, hint in (("acces_lifetime", "did you mean 'access_lifetime'"), ("x", "are: abs")):
        file.write_text(f"{written} = 60\n")
        with pytest.raises(ConfigurationError, match=hint):
            load_settings(file)


def test_every_setting_is_known_to_whoever_misspells_one():
    with pytest.raises(ConfigurationError) as caught:
        make_settings({}, {"prot": 81})
    assert str(caught.value) == "unknown setting 'prot'; did you mean 'port'?"
    for name in ("PORT", "CLUSTERPASS_PORT", "clusterpass_prot"):
        with pytest.raises(ConfigurationError, match=f"{name}'; did you mean 'port'"):
            make_settings({}, {name: 81})
    with pytest.raises(ConfigurationError) as caught:
        make_settings({}, {"like_no_other": 81})
    said = str(caught.value)
    assert "unknown setting 'like_no_other'" in said
    assert f"the settings are: {', '.join(sorted(Settings.model_fields))}" in said


def test_every_setting_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigurationError) as caught:
        make_settings({"port": 70_000, "workers": 0}, {"prot": 81, "log_format": "yaml"})
    said = str(caught.value)
    for name in ("port (CLUSTERPASS_PORT)", "workers (CLUSTERPASS_WORKERS)", "log_format"):
        assert f"the setting {name}" in said
    assert "unknown setting 'prot'; did you mean 'port'?" in said
