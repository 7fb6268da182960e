"""The layers of the login throttle, on a cluster: who is counted where, and what is given back."""

import itertools
import time
from ipaddress import ip_network

import pytest

from clusterpass import (
    KeyRing,
    LoginThrottle,
    SessionManager,
    StoreUnavailable,
    ThrottlePolicy,
    TooManyAttempts,
)
from clusterpass.model.network_prefixes import counted_site
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.service.settings.loading import load_settings
from clusterpass.users.throttle import Throttle, canonical_name
from clusterpass.web import known_devices
from clusterpass.web.known_devices import KnownDevices

from .conftest import PASSWORD
from .page_browser import Browser

DEVICE = "__Host-clusterpass-device"
_sites = itertools.count(int(time.time()) % 50_000)


@pytest.fixture
def throttle(cluster_url, keys_file, new_name):
    """Makes throttles in a namespace of their own, so that no other test counts in its total."""
    config = load_settings(None, {"keys_file": keys_file}).session_config()
    url = f"{cluster_url}{'&' if '?' in cluster_url else '?'}namespace={new_name()}"
    with SessionManager.from_url(url, config) as sessions:
        yield lambda **limits: LoginThrottle(sessions, ThrottlePolicy(**limits))


def admitted(throttle, times, name, **more):
    """Return how many of the attempts are admitted."""
    count = 0
    for _ in range(times):
        try:
            throttle.admit(name, **more)
        except TooManyAttempts as refusal:
            assert 1 <= refusal.retry_after <= 40
        else:
            count += 1
    return count


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("alice", "alice"),
        ("  Alice\t", "alice"),
        ("ALICE\u00a0", "alice"),
        ("al\u200bi\u00adce", "alice"),
        ("\uff41\uff4c\uff49\uff43\uff45", "alice"),
        ("Ann  \u2003 A", "ann a"),
        ("Stra\u00dfe", "strasse"),
        ("\u212a", "k"),
        ("e\u0301", "\u00e9"),
        ("\u0130", "i\u0307"),
        ("\u200b", "\u200b"),
    ],
)
def test_the_spelling_of_a_name_makes_no_difference(name, counted):
    assert canonical_name(name) == counted
    assert canonical_name(counted) == counted


def test_a_name_that_grows_when_it_is_spelt_out_is_counted_by_its_digest():
    counted = {canonical_name("\ufdfa" * 85), canonical_name("\ufdfa" * 84)}
    assert {len(each) for each in counted} == {32}
    assert len(counted) == 2


def test_all_spellings_share_a_counter(throttle):
    limited = throttle(account_attempts=3, account_window=40)
    spelt = ["bob", "BOB", " bob ", "\uff42ob", "b\u00adob"]
    assert [admitted(limited, 1, name) for name in spelt] == [1, 1, 1, 0, 0]


def test_a_customer_and_a_site_have_limits_of_their_own(throttle):
    limits = {"address_attempts": 2, "network_attempts": 5}
    limited = throttle(**limits, address_window=40, network_window=40)
    site = f"2001:db8:{next(_sites):x}"
    admissions = [
        admitted(limited, 3, f"user{number}", address=f"{site}:{number}::{number}")
        for number in range(4)
    ]
    assert admissions == [2, 2, 1, 0], "2 by /64, 5 by /48"
    assert admitted(limited, 1, "user9", address=f"2001:db8:{next(_sites):x}::1") == 1
    assert counted_site(f"{site}:7::1") == str(ip_network(f"{site}::/48"))
    assert counted_site("192.0.2.1") is counted_site("::ffff:192.0.2.1") is None


def test_who_is_refused_uses_up_nothing_behind(throttle):
    limited = throttle(
        address_attempts=2, address_window=40, total_attempts=4, total_window=40, account_attempts=4
    )
    assert admitted(limited, 9, "carol", address="198.51.100.1") == 2
    assert admitted(limited, 2, "carol", address="198.51.100.2") == 2


def test_all_strangers_have_a_limit_together_and_who_is_known_is_none_of_them(throttle):
    limited = throttle(total_attempts=3, total_window=40, known_attempts=2, known_window=40)
    assert [admitted(limited, 1, f"user{number}") for number in range(5)] == [1, 1, 1, 0, 0]
    assert admitted(limited, 3, "user7", known="session-1") == 2
    assert admitted(limited, 3, "user7", known="session-2") == 2
    assert admitted(limited, 1, "user8", known="session-1") == 1, "the id counts for its user only"


def test_whoever_kept_many_devices_has_no_more_guesses_for_each(throttle):
    limited = throttle(
        known_attempts=2,
        known_total_attempts=5,
        known_window=40,
        account_attempts=3,
        account_window=40,
    )
    assert [admitted(limited, 2, "eve", known=f"phone {each}") for each in range(5)] == [
        2,
        2,
        2,  # the second of these counts as a stranger's, as do those that follow
        2,
        0,
    ]
    assert admitted(limited, 1, "eve") == 0
    limited.forget("eve", known="phone 0")
    assert admitted(limited, 2, "eve", known="phone 0") == 1, "a success gives back its own attempt"


def test_a_success_gives_back_its_own_attempt_alone(throttle):
    limited = throttle(account_attempts=5, account_window=40, known_attempts=2, known_window=40)
    assert admitted(limited, 3, "dave") == 3
    for _ in range(4):  # the owner's logins, between the guesses
        assert admitted(limited, 1, "dave") == 1
        limited.forget("DAVE")
    assert admitted(limited, 9, "dave") == 2
    assert admitted(limited, 1, "dave", known="phone") == 1
    limited.forget("dave", known="phone")
    assert admitted(limited, 3, "dave", known="phone") == 2
    assert admitted(limited, 1, "dave") == 0, "nor does that of a known device"


def test_a_login_that_was_not_counted_gives_nothing_back(throttle):
    limited = throttle(account_attempts=2, account_window=40)
    for _ in range(3):
        limited.forget("erin")
    assert admitted(limited, 5, "erin") == 2


def test_the_window_ends_when_it_would_have_without_the_success(throttle):
    limited = throttle(account_attempts=2, account_window=1)
    assert admitted(limited, 2, "fred") == 2
    limited.forget("fred")
    deadline = time.monotonic() + 20
    while admitted(limited, 1, "fred") + admitted(limited, 1, "fred") < 2:
        assert time.monotonic() < deadline


def test_while_the_shard_of_the_total_is_down_the_others_count():
    flow = Throttle(Keyspace(), ThrottlePolicy()).admit("alice", address="192.0.2.1")
    assert next(flow).keys == (Keyspace().attempts_by_address("192.0.2.1"),)
    assert flow.send(_Admitted()).keys == (Keyspace().attempts_in_total(),)
    assert flow.throw(StoreUnavailable()).keys == (Keyspace().attempts_by_account("alice"),)
    with pytest.raises(StoreUnavailable):
        flow.throw(StoreUnavailable())


class _Admitted:
    reply = 0


async def test_guesses_by_strangers_lock_nobody_out_who_is_known(start, settings, alice):
    service = await start(settings.model_copy(update={"account_attempts": 2}))
    phone, laptop, stranger = Browser(service), Browser(service), Browser(service)
    assert (await phone.login(alice)).status_code == 303
    assert (await phone.click("/page/logout")).status_code == 303
    assert (await laptop.login(alice)).status_code == 303
    del laptop.http.cookies[DEVICE]
    statuses = [(await stranger.login(alice, f"guess {n}")).status_code for n in range(4)]
    assert statuses == [401, 401, 429, 429]
    assert (await stranger.login(alice)).status_code == 429
    assert (await phone.login(alice, "mistyped one")).status_code == 401
    assert (await phone.login(alice)).status_code == 303, "a device that is known"
    assert (await laptop.login(alice)).status_code == 303, "a session that lives"
    assert (await stranger.login(alice)).status_code == 429, "which changes nothing for others"


async def test_an_app_is_known_by_its_device_token(start, settings, alice, directory, new_name):
    service = await start(settings.model_copy(update={"account_attempts": 2, "known_attempts": 2}))

    async def login(name, password, *tokens):
        headers = [("X-Device-Token", token) for token in tokens]
        body = {"username": name, "password": password}
        return await service.client.post("/login", json=body, headers=headers)

    mallory = new_name()
    directory.add(mallory, PASSWORD)
    token = (await login(alice, PASSWORD)).headers["x-device-token"]
    others = (await login(mallory, PASSWORD)).headers["x-device-token"]
    statuses = [(await login(alice, f"guess {n}")).status_code for n in range(3)]
    assert statuses == [401, 401, 429]
    for sent in ([], [others], [token, token], [token, others], [f"{token}0"], [""]):
        assert (await login(alice, PASSWORD, *sent)).status_code == 429
    known = await login(alice, PASSWORD, token)
    assert known.status_code == 200
    assert known.headers["x-device-token"].partition(".")[0] == token.partition(".")[0]
    statuses = [(await login(alice, f"guess {n}", token)).status_code for n in range(3)]
    assert statuses == [401, 401, 429]
    assert token not in service.log.getvalue()


async def test_a_known_browser_has_so_many_attempts_too(start, settings, alice):
    service = await start(settings.model_copy(update={"known_attempts": 2}))
    browser = Browser(service)
    await browser.login(alice)
    await browser.click("/page/logout")
    statuses = [(await browser.login(alice, f"guess {n}")).status_code for n in range(3)]
    assert statuses == [401, 401, 429]
    refused = await browser.login(alice)
    assert 1 <= int(refused.headers["retry-after"]) <= 300
    assert (await Browser(service).login(alice)).status_code == 303


async def test_the_cookie_of_a_device_is_for_its_user_and_cannot_be_made_up(
    start, settings, alice, directory, new_name
):
    service = await start(settings.model_copy(update={"account_attempts": 1}))
    mallory = new_name()
    directory.add(mallory, PASSWORD)
    own = Browser(service)
    await own.login(mallory)
    value = own.http.cookies[DEVICE]
    assert mallory not in value
    assert (await Browser(service).login(alice, "guess 0")).status_code == 401
    forged = [value, value[:-1] + ("0" if value[-1] != "0" else "1"), "", "a.1.b", f"{value}.x"]
    for each in forged:
        browser = Browser(service)
        browser.http.cookies.set(DEVICE, each, domain="auth.example")
        assert (await browser.login(alice, "guess 1")).status_code == 429


def test_a_device_is_forgotten_in_time_and_known_by_older_keys(monkeypatch):
    old, new = KeyRing.generate(), KeyRing.generate()
    devices = KnownDevices(old, secure=True)
    value = devices.make("alice")
    known = devices.known(value, "alice")
    assert known is not None and devices.known(devices.make("alice", known), "alice") == known
    assert devices.known(value, "Alice") is devices.known(value, "bob") is None
    assert KnownDevices(new, secure=True).known(value, "alice") is None
    monkeypatch.setattr(known_devices.time, "time", lambda: 1_000.0)
    early = devices.make("alice")
    monkeypatch.setattr(known_devices.time, "time", lambda: 1_000.0 + known_devices.LIFETIME - 1)
    assert devices.known(early, "alice") is not None
    monkeypatch.setattr(known_devices.time, "time", lambda: 1_000.0 + known_devices.LIFETIME)
    assert devices.known(early, "alice") is None
    assert not KnownDevices(old, secure=False).cookie.name.startswith("__Host-")
