"""Values of single settings: the lowest and the highest, other forms, and what is refused."""

import pytest

from clusterpass import (
    ConfigurationError,
)
from clusterpass.service.settings.loading import load_settings, make_settings

DAY, LONGEST = 86_400, 10 * 366 * 86_400


LIMITS = {
    "access_lifetime": (10, DAY),
    "absolute_lifetime": (10, LONGEST),
    "idle_lifetime": (0, LONGEST),
    "remember_lifetime": (10, LONGEST),
    "remember_idle_lifetime": (0, LONGEST),
    "activity_interval": (0, DAY),
    "max_sessions": (1, 500),
    "max_per_device": (0, 500),
    "history_entries": (0, 100),
    "generation_lifetime": (3600, LONGEST),
    "history_lifetime": (0, LONGEST),
    "cache_entries": (1, 100_000_000),
    "cache_bytes": (2**20, 2**40),
    "outage_grace": (0, 3600),
    "authz_most_grace": (0, 3600),
    "port": (1, 65_535),
    "workers": (1, 256),
    "hash_concurrency": (1, 64),
    "shortest_password": (8, 64),
    "reset_link_lifetime": (60, 1_209_600),
    "invitation_lifetime": (60, 1_209_600),
    "smtp_port": (1, 65_535),
    "account_attempts": (1, 1_000_000),
    "account_window": (1, DAY),
    "address_attempts": (1, 1_000_000),
    "address_window": (1, DAY),
    "network_attempts": (1, 1_000_000),
    "network_window": (1, DAY),
    "total_attempts": (1, 1_000_000),
    "total_window": (1, DAY),
    "known_attempts": (1, 1_000_000),
    "known_window": (1, DAY),
    "administration_max_age": (1, DAY),
    "step_up_seconds": (1, DAY),
    "hsts_seconds": (0, 315_360_000),
    "slow_bodies": (1, 1_000_000),
    "max_connections": (16, 1_000_000),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_lowest_and_the_highest_value_of_a_setting(monkeypatch, name):
    monkeypatch.setenv("CLUSTERPASS_STORE_URL", "redis://127.0.0.1")
    for neighbour in ("IDLE_LIFETIME", "REMEMBER_IDLE_LIFETIME"):
        monkeypatch.setenv(f"CLUSTERPASS_{neighbour}", "0")
    for value in LIMITS[name]:
        monkeypatch.setenv(f"CLUSTERPASS_{name.upper()}", str(value))
        assert getattr(load_settings(), name) == value
    lowest, highest = LIMITS[name]
    for value in (lowest - 1, highest + 1):
        monkeypatch.setenv(f"CLUSTERPASS_{name.upper()}", str(value))
        with pytest.raises(ConfigurationError, match=name):
            load_settings()


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("header_timeout", 0.1, 300), ("body_timeout", 0.1, 300), ("staleness_bound", 0.05, 60)],
)
def test_the_shortest_and_the_longest_fraction_of_seconds(name, lowest, highest):
    for value in (lowest, highest):
        assert getattr(make_settings({name: value}), name) == value
    for value in (lowest - 0.001, highest + 0.001):
        with pytest.raises(ConfigurationError, match=name):
            make_settings({name: value})


@pytest.mark.parametrize(
    ("name", "fitting", "refused"),
    [
        ("issuer", ["i", "i" * 255], ["", "i" * 256]),
        ("audience", ["", "a" * 255], ["a" * 256]),
        ("host", ["h"], [""]),
        ("refresh_grace", [0, 5, 300], [-1, 1, 4, 301]),
        ("levels", ["1", ",".join(map(str, range(16)))], ["", ",".join(map(str, range(17)))]),
        ("idle_lifetime", [0, 900], [1, 899]),
        ("remember_idle_lifetime", [0, 900], [1, 899]),
        (
            "hosts",
            ["A.Example", "10.0.0.5:8000", "[::1]:8443", "[::]", "h" * 255, "h:1", "h:65535"],
            ["h" * 256, "h:", "h:123456", "[:]", "[::1", "::1", "a b"],
        ),
        (
            "cors_origins",
            ["https://App.example", "http://127.0.0.1:8000", "https://[::1]:8443"],
            ["app.example", "ftp://app.example", "https://"],
        ),
        ("password_check", ["a:b", "_a.b1:c.d_"], ["a:", ":b", "1a:b", "a:1", "a b:c", "a:b()"]),
    ],
)
def test_what_a_setting_may_be(name, fitting, refused):
    for value in fitting:
        make_settings({name: value})
    for value in refused:
        with pytest.raises(ConfigurationError, match=f"(?i){name}"):
            make_settings({name: value})


def test_names_of_hosts_and_origins_are_compared_in_lower_case():
    settings = make_settings({"hosts": "A.Example, B", "cors_origins": "HTTPS://App.example"})
    assert settings.hosts == ("a.example", "b")
    assert settings.cors_origins == ("https://app.example",)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_cookies_without_https_are_for_this_machine_alone(host):
    assert not make_settings({"cookie_secure": False, "host": host}).web().cookie_secure
    with pytest.raises(ConfigurationError, match="cookie_secure"):
        make_settings({"cookie_secure": False, "host": f"{host}.example"})


@pytest.mark.parametrize("other", ["port", "authz_grpc_address"])
def test_the_metrics_have_a_port_of_their_own(other: str) -> None:
    taken = 9464 if other == "port" else "127.0.0.1:9464"
    with pytest.raises(ConfigurationError, match="metrics_address needs a port of its own"):
        load_settings(None, {"metrics_address": "[::1]:9464", other: taken})


def test_the_address_of_the_metrics_is_a_host_and_a_port() -> None:
    found = load_settings(None, {"metrics_address": "[::1]:9464"}).metrics_host_and_port()
    assert found == ("::1", 9464)
    assert load_settings(None, {}).metrics_host_and_port()[1] is None
