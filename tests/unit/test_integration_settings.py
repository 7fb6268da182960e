"""Settings of an integration: names, types, precedence, and values that are refused."""

import re
from dataclasses import fields
from typing import Any

import pytest

from clusterpass import Config, ConfigurationError, KeyRing
from clusterpass.integrations.settings import set_up
from clusterpass.web.gate import Gate
from clusterpass.web.settings import WebSettings

KEYS = KeyRing.generate()
LEAST: dict[str, Any] = {"STORE_URL": "redis://127.0.0.1", "ISSUER": "i", "KEYS": KEYS}
GATE = Gate(Config(issuer="i", keys=KEYS), WebSettings())


def test_the_frameworks_settings_come_before_the_environment() -> None:
    environ = {
        "CLUSTERPASS_STORE_URL": "redis://elsewhere",
        "CLUSTERPASS_ACCESS_LIFETIME": "60",
        "CLUSTERPASS_IDLE_LIFETIME": "7000",
        "CLUSTERPASS_COOKIE_SECURE": "false",
        "CLUSTERPASS_TOKEN_PLACES": "header,query",
        "HOME": "/",
    }
    setup = set_up({**LEAST, "ACCESS_LIFETIME": 120, "LOGIN_URL": "/login"}, environ)
    assert setup.store_url == "redis://127.0.0.1"
    assert (setup.config.access_lifetime, setup.config.idle_lifetime) == (120, 7000)
    assert setup.config.keys is KEYS
    assert setup.web == WebSettings(
        cookie_secure=False, token_places=("header", "query"), login_url="/login"
    )
    assert {"access_lifetime", "cookie_secure"} <= setup.chosen


def test_what_is_printed_is_what_can_be_set() -> None:
    settable = [each.name for each in fields(WebSettings) if each.init]
    assert re.findall(r"(\w+)=", repr(WebSettings(trusted_proxies=("10.0.0.0/8",)))) == settable


def test_lists_of_a_settings_file_are_taken() -> None:
    setup = set_up({**LEAST, "TOKEN_PLACES": ["cookie"], "TRUSTED_PROXIES": ["10.0.0.0/8"]}, {})
    assert setup.web.token_places == ("cookie",)
    assert str(setup.web.networks[0]) == "10.0.0.0/8"


def test_none_is_absent() -> None:
    assert set_up({**LEAST, "LOGIN_URL": None}, {}).web.login_url is None
    environ = {"CLUSTERPASS_LOGIN_URL": "/in"}
    assert set_up({**LEAST, "LOGIN_URL": None}, environ).web.login_url == "/in"


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({"LOGIN_ULR": "/login"}, "did you mean LOGIN_URL"),
        ({"ACCES_LIFETIME": 1}, "did you mean ACCESS_LIFETIME"),
        ({"XYZ": 1}, "XYZ is no setting"),
        ({"TOKEN_PLACES": ["body"]}, "token_places"),
        ({"COOKIE_SAME_SITE": "never"}, "cookie_same_site"),
        ({"COOKIE_SAME_SITE": "none", "CSRF": False}, "needs cookie_secure and csrf"),
        ({"COOKIE_SAME_SITE": "none", "COOKIE_SECURE": False}, "needs cookie_secure and csrf"),
        ({"TRUSTED_PROXIES": ["proxy"]}, "trusted_proxies"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, r"a list of networks such as \['10.0.0.0/8'\]"),
        ({"TRUSTED_PROXIES": 5}, "trusted_proxies"),
        ({"TRUSTED_PROXIES": [5]}, "trusted_proxies"),
        ({"TOKEN_PLACES": "header"}, "token_places must be a list"),
        ({"TOKEN_PLACES": ["header", []]}, "token_places"),
        ({"TOKEN_PLACES": []}, "token_places"),
        ({"TOKEN_PLACES": 5}, "token_places"),
        ({"COOKIE_SECURE": ""}, "cookie_secure must be True or False, not ''"),
        ({"COOKIE_SECURE": "false"}, "cookie_secure"),
        ({"CSRF": ""}, "csrf must be True or False"),
        ({"CSRF": 0}, "csrf must be True or False"),
        ({"CSRF_COOKIE": "no"}, "csrf_cookie"),
        ({"SILENT_REFRESH": "no"}, "silent_refresh"),
        ({"CSRF_HEADER": ""}, "csrf_header"),
        ({"CSRF_HEADER": 5}, "csrf_header"),
        ({"CSRF_HEADER": "X CSRF"}, "csrf_header"),
        ({"CSRF_FIELD": ""}, "csrf_field"),
        ({"CSRF_FIELD": 5}, "csrf_field"),
        ({"COOKIE_SAME_SITE": []}, "cookie_same_site"),
        ({"OLD_COOKIE_PATH": 5}, "old_cookie_path"),
        ({"OLD_COOKIE_DOMAIN": 5}, "old_cookie_domain"),
        ({"ACCOUNT_ATTEMPTS": "5"}, "account_attempts must be a whole number from 1 to 1000000"),
        ({"ACCOUNT_ATTEMPTS": True}, "account_attempts"),
        ({"KNOWN_WINDOW": 1.5}, "known_window must be a whole number from 1 to 86400"),
        ({"STORE_URL": 5}, "store_url must be text"),
        ({"LOGIN_URL": 5}, "login_url"),
        ({"LOGIN_URL": ""}, "login_url"),
        ({"LOGIN_URL": "/in\r\nX: y"}, "login_url"),
        ({"STEP_UP_URL": "/für"}, "step_up_url must be a URL of printable ASCII"),
        ({"ACCESS_LIFETIME": 1}, "access_lifetime"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], meant: str) -> None:
    with pytest.raises(ConfigurationError, match=meant):
        set_up({**LEAST, **values}, {})


@pytest.mark.parametrize("name", ["STORE_URL", "ISSUER", "KEYS"])
def test_what_is_missing_is_named(name: str) -> None:
    wanted = "CLUSTERPASS_KEYS_FILE" if name == "KEYS" else f"CLUSTERPASS_{name}"
    with pytest.raises(ConfigurationError, match=wanted):
        set_up({each: value for each, value in LEAST.items() if each != name}, {})


def test_an_embedded_store_needs_nothing_else() -> None:
    with pytest.warns(UserWarning, match="No Config") if _first() else _nothing():
        setup = set_up({"STORE_URL": "embedded://"}, {})
    assert setup.config.keys.can_sign
    with pytest.raises(ConfigurationError, match="KEYS_FILE"):
        set_up({"STORE_URL": "embedded://", "ISSUER": "i"}, {})


def _first() -> bool:
    from clusterpass.managers import development

    return not development._given


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def test_a_csrf_secret_needs_a_private_key() -> None:
    public = KeyRing.from_jwks(KEYS.public_jwks())
    config = Config(issuer="i", keys=public)
    with pytest.raises(ConfigurationError):
        Gate(config, WebSettings())
    assert Gate(config, WebSettings(csrf=False)).csrf is None
    assert Gate(config, WebSettings(token_places=("header",))).csrf is None
