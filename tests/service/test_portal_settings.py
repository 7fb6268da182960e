"""Settings of the portal of the front door: where browsers are led to, and what is refused."""

import pytest

from clusterpass import (
    ConfigurationError,
)
from clusterpass.service.settings.loading import load_settings

PORTAL = {
    "trusted_proxies": "127.0.0.1",
    "page_prefix": "/auth",
    "authz_portal": "https://app.example.org/auth",
}


OWN_HOST = {
    "trusted_proxies": "127.0.0.1",
    "authz_portal": "https://auth.example.org",
    "authz_cookie_domain": "example.org",
}


ALONE = {"trusted_proxies": "127.0.0.1", "authz_portal": "https://auth.example.org"}


@pytest.mark.parametrize(
    "given",
    [
        PORTAL,
        {**PORTAL, "authz_portal": "https://app.example.org:443/auth"},
        {**PORTAL, "authz_hosts": "app.example.org:8443"},
        {**PORTAL, "cookie_secure": False, "authz_portal": "http://app.localhost:8080/auth"},
        {**PORTAL, "hosts": "app.example.org"},
        OWN_HOST,
        {**OWN_HOST, "authz_cookie_domain": ".Example.ORG"},
        {**OWN_HOST, "authz_hosts": "app.example.org, shop.example.org:8443"},
        {**OWN_HOST, "page_prefix": "/auth", "authz_portal": "https://example.org/auth"},
        {**OWN_HOST, "authz_hand_over_hosts": "app.example.net, Shop.example.com:8443"},
        {**PORTAL, "authz_hand_over_hosts": "sub.app.example.org:443"},
        {**ALONE, "authz_hand_over_hosts": "app.example.net"},
        {**ALONE, "authz_hand_over_hosts": "a.example", "hosts": "auth.example.org, a.example"},
    ],
)
def test_browsers_are_led_to_a_portal(given):
    settings = load_settings(None, given)
    assert settings.portal is not None
    assert settings.portal.path == settings.page_prefix
    assert not settings.portal.authority.endswith(":443")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({**PORTAL, "trusted_proxies": ""}, "needs trusted_proxies"),
        ({**PORTAL, "login_enabled": False}, "needs login_enabled"),
        ({**PORTAL, "authz_portal": "http://app.example.org/auth"}, "turn cookie_secure off"),
        ({**PORTAL, "authz_portal": "https://app.example.org"}, "must end with page_prefix"),
        ({**PORTAL, "page_prefix": "/login-page"}, "must end with page_prefix"),
        ({**PORTAL, "verification": "stateless"}, "verification=cached"),
        ({**PORTAL, "hosts": "other.example.org"}, "the setting hosts does not list"),
        ({**PORTAL, "page_prefix": "", "authz_portal": "https://a.example"}, "needs page_prefix"),
        ({**PORTAL, "authz_hosts": "shop.example.org"}, "set authz_cookie_domain"),
        ({**OWN_HOST, "authz_hosts": "app.example"}, "is not in example.org"),
        ({**OWN_HOST, "authz_portal": "https://auth.example"}, "is not in example.org"),
        ({**OWN_HOST, "authz_hosts": "auth.example.org"}, "set page_prefix"),
        ({"authz_hosts": "app.example"}, "set authz_portal"),
        ({"authz_cookie_domain": "example.org"}, "set authz_portal"),
        ({"authz_hand_over_hosts": "app.example"}, "set authz_portal"),
        (ALONE, "needs page_prefix"),
        ({**PORTAL, "authz_hand_over_hosts": "app.example.org:8443"}, "cookie of the portal"),
        ({**OWN_HOST, "authz_hand_over_hosts": "app.example.org"}, "cookie of the portal"),
        (
            {**ALONE, "authz_hand_over_hosts": "a.example", "hosts": "auth.example.org"},
            "does not list a.example",
        ),
        *(
            ({**ALONE, "authz_hand_over_hosts": hosts}, "authz_hand_over_hosts")
            for hosts in ("*.example.net", "https://app.example.net", "app.example.net/x")
        ),
        *(
            ({**PORTAL, "authz_portal": url}, "give a URL")
            for url in (
                "app.example.org/auth",
                "https://app.example.org/auth/",
                "https://App.example.org/auth",
                "https://app.example.org/auth?x=1",
                "https://app.example.org/auth#x",
                "https://user@app.example.org/auth",
                "https://app.example.org:0/auth",
                "ftp://app.example.org/auth",
                "https://",
            )
        ),
        *(
            ({**OWN_HOST, "authz_cookie_domain": domain}, "authz_cookie_domain")
            for domain in ("org", "localhost", "", "10.0.0.1", "a b.org", "*.org", "x.org:8443")
        ),
        *(
            ({**OWN_HOST, "authz_hosts": hosts}, "authz_hosts")
            for hosts in ("*.example.org", "https://app.example.org", "app.example.org/x", "[::1]")
        ),
    ],
)
def test_a_portal_that_would_be_unsafe_or_of_no_use_is_refused(given, words):
    with pytest.raises(ConfigurationError, match=words):
        load_settings(None, given)
