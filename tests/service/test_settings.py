"""Settings of the service: environment, files and code, and errors about wrong values."""

import pickle
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from clusterpass import (
    AuditPolicy,
    Config,
    ConfigurationError,
    Credentials,
    KeyRing,
    ThrottlePolicy,
    parse_store_url,
)
from clusterpass.service.calls.password_check import load_check
from clusterpass.service.settings.loading import load_settings, make_settings
from clusterpass.service.settings.service import Settings
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.refresh_secrets import new_refresh_secret

DEFAULTS = {
    "keys_file": Path("keys.json"),
    "keys_file_access": "private",
    "keys_passphrase": None,
    "keys_passphrase_file": None,
    "store_password_file": None,
    "store_key_password": None,
    "store_key_password_file": None,
    "store_server_name": "",
    "store_address_remap": "",
    "issuer": "http://127.0.0.1:8000",
    "administrators": (),
    "host": "127.0.0.1",
    "port": 8000,
    "workers": 1,
    "login_enabled": True,
    "password_check": None,
    "hash_concurrency": 2,
    "shortest_password": 8,
    "reset_link_lifetime": 3600,
    "invitation_lifetime": 259_200,
    "mail_sender": None,
    "mail_from": None,
    "smtp_host": None,
    "smtp_port": 587,
    "smtp_security": "starttls",
    "smtp_ca_file": None,
    "smtp_username": None,
    "smtp_password": None,
    "account_attempts": 10,
    "account_window": 300,
    "address_attempts": 100,
    "address_window": 300,
    "network_attempts": 1000,
    "network_window": 300,
    "total_attempts": 100_000,
    "total_window": 300,
    "known_attempts": 10,
    "known_window": 300,
    "trusted_proxies": (),
    "authz_policy": None,
    "authz_identity_headers": (),
    "authz_assertion": False,
    "authz_most_grace": 300,
    "authz_grpc_address": None,
    "cookie_secure": True,
    "administration_max_age": 900,
    "step_up_seconds": 300,
    "hosts": (),
    "cors_origins": (),
    "page_prefix": "",
    "authz_portal": None,
    "authz_hosts": (),
    "authz_cookie_domain": None,
    "authz_hand_over_hosts": (),
    "hsts_seconds": 31_536_000,
    "hsts_always": False,
    "header_timeout": 10,
    "body_timeout": 10,
    "slow_bodies": 100,
    "max_connections": 4096,
    "metrics_address": None,
    "log_warm_verifies": False,
    "log_format": "json",
}
"""Those that the library does not have; a test below compares the others with the library's."""


def test_the_environment_beats_the_file_and_code_beats_both(tmp_path, monkeypatch):
    file = tmp_path / "service.toml"
    file.write_text('port = 81\nhost = "::1"\ntrusted_proxies = ["10.0.0.0/8"]\n')
    monkeypatch.setenv("CLUSTERPASS_PORT", "82")
    assert load_settings(file).port == 82
    assert load_settings(file, {"port": 83, "host": None}).port == 83
    assert load_settings(file).host == "::1"
    monkeypatch.setenv("CLUSTERPASS_CONFIG", str(file))
    assert str(load_settings().trusted_proxies[0]) == "10.0.0.0/8"


def test_a_variable_may_be_named_in_any_case_and_others_are_left_alone(monkeypatch):
    monkeypatch.setenv("clusterpass_Port", "82")
    monkeypatch.setenv("CLUSTERPASS_SERVICE_PORT", "83")
    assert load_settings().port == 82


def test_settings_may_be_made_without_the_file_that_the_environment_names(monkeypatch):
    monkeypatch.setenv("CLUSTERPASS_CONFIG", "/nowhere.toml")
    monkeypatch.setenv("CLUSTERPASS_WORKERS", "3")
    settings = make_settings({"port": 82, "host": None})
    assert (settings.port, settings.workers, settings.host) == (82, 3, "127.0.0.1")
    with pytest.raises(ConfigurationError, match="port"):
        make_settings({"port": 0})


def test_settings_go_to_another_process(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text("port = 81\n")
    assert pickle.loads(pickle.dumps(load_settings(file))) == load_settings(file)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "high", "port"),
        ("PORT", "tcp://10.0.0.1:8000", "enableServiceLinks"),
        ("WORKERS", "0", "workers"),
        ("STORE_URL", "http://user:geheim@host", "redis+cluster://"),
        ("STORE_URL", "redis+cluster://user:geheim@", "store_url"),
        ("TRUSTED_PROXIES", "10.0.0.0/99", "trusted_proxies"),
        ("AUTHZ_POLICY", "rules.toml", "trusted_proxies"),
        ("AUTHZ_IDENTITY_HEADERS", "remote,geheim", "authz_identity_headers"),
        ("AUTHZ_MOST_GRACE", "3601", "authz_most_grace"),
        ("AUTHZ_GRPC_ADDRESS", "geheim", "authz_grpc_address"),
        ("METRICS_ADDRESS", "geheim", "metrics_address"),
        ("METRICS_ADDRESS", "127.0.0.1:geheim", "metrics_address"),
        ("HOSTS", "https://auth.example", "hosts"),
        ("HOSTS", "*.example", "hosts"),
        ("CORS_ORIGINS", "*", "cors_origins"),
        ("CORS_ORIGINS", "null", "cors_origins"),
        ("CORS_ORIGINS", "https://app.example/", "cors_origins"),
        ("CORS_ORIGINS", "https://*.example", "cors_origins"),
        ("PAGE_PREFIX", "auth", "page_prefix"),
        ("PAGE_PREFIX", "/auth/", "page_prefix"),
        ("PAGE_PREFIX", "/", "page_prefix"),
        ("PAGE_PREFIX", "/a//b", "page_prefix"),
        ("PAGE_PREFIX", "/a/../b", "page_prefix"),
        ("PAGE_PREFIX", "/a b", "page_prefix"),
        ("PAGE_PREFIX", "/a;b", "page_prefix"),
        ("PAGE_PREFIX", "/sessions", "page_prefix"),
        ("PAGE_PREFIX", "/authz/x", "page_prefix"),
        ("BODY_TIMEOUT", "0", "body_timeout"),
        ("HEADER_TIMEOUT", "301", "header_timeout"),
        ("PASSWORD_CHECK", "no colon", "module:function"),
        ("LOG_FORMAT", "xml", "log_format"),
        ("IDLE_LIFETIME", "20", "idle_lifetime"),
        ("REMEMBER_IDLE_LIFETIME", "20", "remember_idle_lifetime"),
        ("MAX_PER_DEVICE", "501", "max_per_device"),
        ("OVERFLOW", "newest", "overflow"),
        ("REFRESH_GRACE", "3", "refresh_grace"),
        ("LEVELS", "", "levels"),
        ("LEVELS", "1,1", "levels"),
        ("LEVELS", "geheim!", "levels"),
        ("ADMINISTRATORS", "alice,geheim\x01", "administrators"),
        ("PROTECTED_SUBJECTS", "geheim" * 50, "protected_subjects"),
        ("ADMINISTRATION_MAX_AGE", "0", "administration_max_age"),
        ("STEP_UP_SECONDS", "86401", "step_up_seconds"),
        ("HISTORY_ENTRIES", "101", "history_entries"),
        ("INDEX_ONLINE", "perhaps", "index_online"),
        ("VERIFICATION", "fast", "verification"),
        ("DURABILITY", "best", "durability"),
        ("OUTAGE_GRACE", "3601", "outage_grace"),
        ("STALENESS_BOUND", "0.01", "staleness_bound"),
        ("STALENESS_BOUND", "61", "staleness_bound"),
        ("CACHE_ENTRIES", "0", "cache_entries"),
        ("CACHE_BYTES", "1000", "cache_bytes"),
        ("CONFIG", "/nowhere.toml", "--config"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(monkeypatch, name, value, words):
    monkeypatch.setenv(f"CLUSTERPASS_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("text", ["prot = 81", "port =", "[port]\nx = 1"])
def test_a_file_with_something_else_is_refused(tmp_path, text):
    file = tmp_path / "service.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        load_settings(file)


def test_several_workers_do_not_start_several_clusters():
    with pytest.raises(ConfigurationError, match="workers"):
        load_settings(None, {"store_url": "embedded://", "workers": 2})
    assert load_settings(None, {"store_url": "embedded://?data=x", "workers": 2}).workers == 2


def test_every_setting_is_described():
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_all_that_is_set_reaches_the_library(monkeypatch, keys_file):
    chosen = {
        "client_id": "shop",
        "access_lifetime": 60,
        "absolute_lifetime": 1000,
        "idle_lifetime": 500,
        "remember_lifetime": 2000,
        "remember_idle_lifetime": 0,
        "activity_interval": 7,
        "refresh_grace": 5,
        "refresh_retry": "grace",
        "compatibility": "previous",
        "history_entries": 3,
        "generation_lifetime": 3700,
        "history_lifetime": 11,
        "stored_addresses": "network",
        "stored_devices": False,
        "index_online": False,
        "step_up_ends_older_tokens": True,
        "verification": "strict",
        "staleness_bound": 2.5,
        "cache_entries": 77,
        "cache_bytes": 2**21,
        "durability": "fsync",
        "outage_grace": 12.5,
    }
    policy = {"max_sessions": 4, "max_per_device": 2, "overflow": "refuse"}
    for name, value in {**chosen, **policy}.items():
        monkeypatch.setenv(f"CLUSTERPASS_{name.upper()}", str(value))
    monkeypatch.setenv("CLUSTERPASS_AUDIT_RETENTION", "7200")
    monkeypatch.setenv("CLUSTERPASS_AUDIT_ENTRIES", "2000")
    monkeypatch.setenv("CLUSTERPASS_LEVELS", "low, high")
    monkeypatch.setenv("CLUSTERPASS_AUDIENCE", "https://api.example")
    monkeypatch.setenv("CLUSTERPASS_ADMINISTRATORS", "alice, a/b é")
    monkeypatch.setenv("CLUSTERPASS_PROTECTED_SUBJECTS", "carol,")
    config = load_settings(None, {"keys_file": keys_file}).session_config()
    assert {name: getattr(config, name) for name in chosen} == chosen
    assert {name: getattr(config.policy, name) for name in policy} == policy
    assert config.audit == AuditPolicy(retention=7200, most_entries=2000)
    assert config.levels == ("low", "high")
    assert config.audience == "https://api.example"
    assert config.protected_subjects == {"alice", "a/b é", "carol"}


def test_what_is_set_of_the_store_becomes_options_of_its_url(monkeypatch, tmp_path):
    password = tmp_path / "a password&file"
    password.write_text("geheim\n")
    monkeypatch.setenv("CLUSTERPASS_STORE_URL", "rediss+cluster://app@h:1?timeout=1")
    monkeypatch.setenv("CLUSTERPASS_STORE_PASSWORD_FILE", str(password))
    monkeypatch.setenv("CLUSTERPASS_STORE_SERVER_NAME", "store.example")
    monkeypatch.setenv(
        "CLUSTERPASS_STORE_ADDRESS_REMAP", "10.0.0.1:7000=127.0.0.1:17000, [::1]:1=b:2"
    )
    location = parse_store_url(load_settings().full_store_url())
    assert location.credential_source() == Credentials(username="app", password="geheim")
    assert location.certificate_name(location.seeds[0]) == "store.example"
    assert {str(name): str(at) for name, at in location.reached_at.items()} == {
        "10.0.0.1:7000": "127.0.0.1:17000",
        "[::1]:1": "b:2",
    }
    assert location.patience.timeout == 1
    monkeypatch.delenv("CLUSTERPASS_STORE_URL")
    monkeypatch.delenv("CLUSTERPASS_STORE_SERVER_NAME")
    url = load_settings().full_store_url()
    assert url.startswith("redis+cluster://127.0.0.1:7000?password_file=")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"store_password_file": "/missing"},
            "password_file /missing cannot be used: No such file",
        ),
        ({"store_password_file": "/dev/null"}, "holds no text"),
        ({"store_server_name": "x"}, "server_name need a URL that begins with rediss"),
        ({"store_address_remap": "10.0.0.1=b:1"}, "'10.0.0.1=b:1' in address_remap is not"),
        ({"store_key_password": "geheim"}, "key_password"),
        ({"store_key_password_file": "/missing"}, "key_password_file"),
        (
            {"store_url": "rediss://h?server_name=a", "store_server_name": "b"},
            "store_server_name is also an option of store_url",
        ),
        (
            {"store_url": "redis://:geheim@h", "store_password_file": "/dev/null"},
            "a password and a password_file",
        ),
        ({"store_url": "embedded://", "store_password_file": "/dev/null"}, "password_file"),
    ],
)
def test_what_is_wrong_of_the_store_is_refused_at_the_start(settings, words):
    with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
        load_settings(None, settings)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "make"),
    [("refresh_secrets", new_refresh_secret), ("key_encryption_keys", new_encryption_key)],
)
def test_secrets_come_from_the_environment_or_a_file(monkeypatch, tmp_path, keys_file, name, make):
    first, second = make(), make()
    variable = f"CLUSTERPASS_{name.upper()}"
    monkeypatch.setenv(variable, f"{first}, {second}")
    settings = load_settings(None, {"keys_file": keys_file})
    assert first not in repr(settings)
    assert first not in repr(settings.session_config())
    assert getattr(settings.session_config(), name) == (first, second)
    file = tmp_path / "secrets"
    file.write_text(f"{second}\n{first}\n")
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    both = load_settings(None, {"keys_file": keys_file})
    with pytest.raises(ConfigurationError, match="not both"):
        both.session_config()
    monkeypatch.delenv(variable)
    monkeypatch.setenv("CLUSTERPASS_ISSUER", "https://auth.example")
    monkeypatch.setenv("CLUSTERPASS_KEYS_FILE", str(keys_file))
    of_service = load_settings(None, {"keys_file": keys_file}).session_config()
    assert getattr(of_service, name) == getattr(Config.from_env(), name) == (second, first)
    for content, complaint in ((" ", "is empty"), ("abc", "number 1 of")):
        file.write_text(content)
        for read in (Config.from_env, load_settings(None, {"keys_file": keys_file}).session_config):
            with pytest.raises(ConfigurationError, match=complaint) as caught:
                read()
            assert content.strip() not in str(caught.value) or not content.strip()
    file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Config.from_env()


def test_names_in_a_file_may_hold_commas(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text('administrators = ["a,b", "c"]\nlevels = ["bronze", "gold"]\n')
    settings = load_settings(file)
    assert settings.administrators == ("a,b", "c")
    assert settings.levels == ("bronze", "gold")


def test_what_is_set_unless_somebody_sets_it():
    settings = load_settings()
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.store_url.get_secret_value() == "redis+cluster://127.0.0.1:7000"


def test_the_limits_of_attempts_reach_the_throttle():
    layers = ("account", "address", "network", "total", "known")
    names = [f"{layer}_{what}" for layer in layers for what in ("attempts", "window")]
    chosen = {name: number for number, name in enumerate(names, 1000)}
    assert make_settings(chosen).throttle() == ThrottlePolicy(**chosen)


def test_how_the_page_uses_cookies():
    web = make_settings({"trusted_proxies": "10.0.0.0/8, ::1"}).web()
    assert web.token_places == ("cookie",)
    assert web.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert (web.cookie_secure, web.csrf_cookie, web.csrf_field) == (True, False, "form_token")


def test_settings_stay_as_they_were_loaded():
    settings = make_settings({})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("name", "saying"),
    [
        ("none.toml", "does not exist; check the path in --config or CLUSTERPASS_CONFIG"),
        (".", "cannot be read: Is a directory"),
        ("text.toml", "is not valid TOML: "),
        ("text.toml/below", "cannot be read: Not a directory"),
    ],
)
def test_why_a_configuration_file_cannot_be_read(tmp_path, name, saying):
    (tmp_path / "text.toml").write_text("port 81")
    path = tmp_path / name
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert str(caught.value).startswith(f"the configuration file {path} {saying}")


def test_what_is_wrong_about_several_settings_together_names_no_other():
    with pytest.raises(ConfigurationError) as caught:
        make_settings({"authz_policy": "rules.toml"})
    assert str(caught.value).startswith("authz_policy needs trusted_proxies")


def test_a_key_that_cannot_sign_is_not_enough_for_the_service(tmp_path):
    settings = make_settings({"keys_file": tmp_path / "keys.json"})
    public = KeyRing.from_jwks(KeyRing.generate().public_jwks())
    with pytest.raises(ConfigurationError, match=r"keys\.json contains only public keys"):
        settings.session_config(public)


def test_the_defaults_are_those_of_the_library(keys_file):
    keys = KeyRing.load(keys_file)
    config = load_settings().session_config(keys)
    assert config == Config(issuer=config.issuer, keys=keys, audit=AuditPolicy())


def test_no_secret_is_shown():
    settings = load_settings(None, {"store_url": "redis://user:geheim@localhost"})
    assert "geheim" not in repr(settings)


@pytest.mark.parametrize("path", ["nowhere:check", "json:nothing", "json:decoder.__name__"])
def test_a_password_check_that_is_none_is_refused(path):
    with pytest.raises(ConfigurationError, match="password_check"):
        load_check(path)


def test_how_the_key_file_is_read(monkeypatch, tmp_path):
    pem, phrase = tmp_path / "keys.pem", tmp_path / "phrase"
    key = Ed25519PrivateKey.generate()
    hidden = BestAvailableEncryption(b"of a passphrase")
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    pem.chmod(0o644)
    phrase.write_text("of a passphrase\n")
    given = {"keys_file": pem}
    with pytest.raises(ConfigurationError, match="keys_passphrase_file"):
        load_settings(None, given).session_config()
    monkeypatch.setenv("CLUSTERPASS_KEYS_PASSPHRASE_FILE", str(phrase))
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_settings(None, given).session_config()
    monkeypatch.setenv("CLUSTERPASS_KEYS_FILE_ACCESS", "any")
    kid = load_settings(None, given).session_config().keys.signing_key.kid
    monkeypatch.setenv("CLUSTERPASS_KEYS_PASSPHRASE", "of a passphrase")
    both = load_settings(None, given)
    assert "of a passphrase" not in repr(both)
    with pytest.raises(ConfigurationError, match="not both"):
        both.session_config()
    monkeypatch.delenv("CLUSTERPASS_KEYS_PASSPHRASE_FILE")
    assert load_settings(None, given).session_config().keys.signing_key.kid == kid
    monkeypatch.setenv("CLUSTERPASS_ISSUER", "https://a.example")
    monkeypatch.setenv("CLUSTERPASS_KEYS_FILE", str(pem))
    assert Config.from_env().keys.signing_key.kid == kid
    monkeypatch.setenv("CLUSTERPASS_KEYS_FILE_ACCESS", "everybody")
    for read in (load_settings, Config.from_env):
        with pytest.raises(ConfigurationError, match=r"(?i)keys_file_access"):
            read()


@pytest.mark.parametrize(
    ("name", "setting", "make"),
    [
        ("refresh_secrets", "refresh_secrets_file", new_refresh_secret),
        ("key_encryption_keys", "key_encryption_keys_file", new_encryption_key),
    ],
)
def test_secrets_may_be_in_a_file(monkeypatch, keys_file, tmp_path, name, setting, make):
    path = tmp_path / "secrets"
    path.write_text(make())
    path.chmod(0o600)
    monkeypatch.setenv(f"CLUSTERPASS_{setting.upper()}", str(path))
    config = load_settings(None, {"keys_file": keys_file}).session_config()
    assert getattr(config, name) == (path.read_text(),)
