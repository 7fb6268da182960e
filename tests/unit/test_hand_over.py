"""The codes that hand a session over to a host of another domain: their scope and limits."""

import re

import pytest

from clusterpass import Config, KeyRing
from clusterpass.service.calls.hand_over import (
    LIFETIME,
    MOST_LIFETIME,
    CodeRefused,
    HandOvers,
    make_nonce,
    state_of,
)
from clusterpass.service.calls.proxy_cookie import Ticket

from .test_proxy_cookies import ISSUER, KEYS, NOW, OTHER, SESSION_ID, Time, make as make_cookies

HOST, OTHER_HOST = "app.example.net", "shop.example.com:8443"
TICKET = Ticket("alice", SESSION_ID, "c3RlcC11cC4", NOW, is_lasting=True)


def make(keys: KeyRing = KEYS, *secrets: str) -> tuple[HandOvers, Time]:
    clock = Time()
    config = Config(issuer=ISSUER, keys=keys, refresh_secrets=secrets)
    hosts = frozenset({HOST, OTHER_HOST})
    return HandOvers(config, hosts, secure=True, clock=clock), clock


def reason(hand_overs: HandOvers, code: str, host: str = HOST) -> str:
    with pytest.raises(CodeRefused) as refused:
        hand_overs.read(code, host)
    return refused.value.reason


@pytest.mark.parametrize("subject", ["alice", "a", "é/ö %", "x" * 255])
@pytest.mark.parametrize("step_up", [None, "c3RlcC11cC4"])
@pytest.mark.parametrize("is_lasting", [True, False])
def test_what_a_code_says(subject: str, step_up: str | None, is_lasting: bool) -> None:
    hand_overs, _ = make()
    state = state_of(make_nonce())
    ticket = Ticket(subject, SESSION_ID, step_up, NOW, is_lasting)
    found = hand_overs.read(hand_overs.make(HOST, state, ticket), HOST)
    assert (found.state, found.ticket) == (state, ticket)


def test_no_two_codes_are_alike() -> None:
    hand_overs, _ = make()
    state = state_of(make_nonce())
    codes = [hand_overs.make(HOST, state, TICKET) for _ in range(100)]
    assert len({hand_overs.read(each, HOST).code_id for each in codes}) == 100


def test_it_is_good_at_one_host() -> None:
    hand_overs, _ = make()
    code = hand_overs.make(HOST, state_of(make_nonce()), TICKET)
    for host in (OTHER_HOST, "evil.example", f"{HOST}:8443", f"x.{HOST}", ""):
        assert reason(hand_overs, code, host) == "not_signed"


def test_it_ends_within_a_minute() -> None:
    hand_overs, clock = make()
    code = hand_overs.make(HOST, state_of(make_nonce()), TICKET)
    clock.now = NOW + LIFETIME - 1
    assert hand_overs.read(code, HOST).ticket.subject == "alice"
    clock.now = NOW + LIFETIME
    assert reason(hand_overs, code) == "expired"


def test_a_clock_that_is_ahead_makes_no_code_that_lives_longer() -> None:
    hand_overs, clock = make()
    clock.now = NOW + 3600
    code = hand_overs.make(HOST, state_of(make_nonce()), TICKET)
    for behind, is_accepted in ((MOST_LIFETIME - LIFETIME, True), (MOST_LIFETIME, False)):
        clock.now = NOW + 3600 - behind
        if is_accepted:
            assert hand_overs.read(code, HOST)
        else:
            assert reason(hand_overs, code) == "expired"


@pytest.mark.parametrize("position", range(0, 300, 3))
def test_no_character_of_it_can_be_changed(position: int) -> None:
    hand_overs, _ = make()
    code = hand_overs.make(HOST, state_of(make_nonce()), TICKET)
    index = position % len(code)
    for other in "0A.é ":
        changed = code[:index] + other + code[index + 1 :]
        if changed != code:
            assert reason(hand_overs, changed) in {"malformed", "not_signed"}


def test_what_is_no_code() -> None:
    hand_overs, _ = make()
    code = hand_overs.make(HOST, state_of(make_nonce()), TICKET)
    for text in ("", "x", "1.........", code + "0", code[:-1], f"{code}\n", "2" + code[1:]):
        assert reason(hand_overs, text) == "malformed"


def test_whose_keys_are_others_makes_none_of_ours() -> None:
    forged = make(OTHER)[0].make(HOST, state_of(make_nonce()), TICKET)
    assert reason(make()[0], forged) == "not_signed"


def test_a_rotation_of_keys_interrupts_nobody() -> None:
    hand_overs, _ = make()
    code = hand_overs.make(HOST, state_of(make_nonce()), TICKET)
    both = KeyRing([OTHER.signing_key, KEYS.signing_key])
    hand_overs.replace_keys(Config(issuer=ISSUER, keys=both))
    assert hand_overs.read(code, HOST).ticket.subject == "alice"
    hand_overs.replace_keys(Config(issuer=ISSUER, keys=OTHER))
    assert reason(hand_overs, code) == "not_signed"


def test_a_cookie_is_no_code_and_a_code_no_cookie() -> None:
    hand_overs, _ = make()
    cookies, _ = make_cookies(others=(HOST,))
    place = cookies.place_of(HOST)
    assert place is not None
    code = hand_overs.make(HOST, state_of(make_nonce()), TICKET)
    with pytest.raises(Exception, match="none of this service"):
        cookies.read(code, place)
    # The secrets differ, too: what one has signed is of no use with the form of the other.
    assert set(hand_overs._secrets).isdisjoint(cookies._secrets)


def test_which_addresses_ask_for_a_code() -> None:
    hand_overs, _ = make()
    state = state_of(make_nonce())
    end = f"/_clusterpass/session?rd=%2Fx&state={state}"
    assert hand_overs.state_in(HOST, end) == state
    assert hand_overs.state_in(OTHER_HOST, end) == state
    for host in ("app.example.org", f"{HOST}:8443", "shop.example.com", ""):
        assert hand_overs.state_in(host, end) is None
    for rest in (
        "/_clusterpass/session",
        "/_clusterpass/session?state=",
        f"/_clusterpass/session?state={state[1:]}",
        f"/_clusterpass/session?state={state}&state={state}",
        f"/_clusterpass/session/?state={state}",
        f"/_clusterpass/begin?state={state}",
        f"/?state={state}",
    ):
        assert hand_overs.state_in(HOST, rest) is None


def test_the_cookie_of_the_host_is_its_own() -> None:
    hand_overs, _ = make()
    header = hand_overs.cookie.header(make_nonce(), 3600)[1]
    assert re.fullmatch(
        r"__Host-clusterpass-hand-over=[A-Za-z0-9_-]{22}; Max-Age=3600; Path=/; Secure; HttpOnly;"
        r" SameSite=Lax",
        header,
    )
    assert make_nonce() != make_nonce()
    assert state_of("a" * 22) != state_of("a" * 21 + "b")
