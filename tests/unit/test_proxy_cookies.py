"""The cookie for proxies: its content, lifetime and audience."""

import pytest

from clusterpass import (
    Config,
    KeyRing,
    Session,
    TokenExpired,
    TokenIssuer,
    TokenMalformed,
    TokenPair,
    TokenSignatureInvalid,
    TokenVerifier,
)
from clusterpass.service.calls.proxy_cookie import ProxyCookies, Ticket
from clusterpass.service.settings.portal import Portal
from clusterpass.tokens.identifiers import rotation_of

NOW = 1_800_000_000
KEYS = KeyRing.generate()
OTHER = KeyRing.generate()
ISSUER = "https://auth.example"
SESSION_ID = "s" * 21 + "A"
DAY = 86_400
PERIOD, INTERVAL = 900, 300


class Time:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def make(
    keys: KeyRing = KEYS,
    portal: str = "https://app.example.org/auth",
    domain: str | None = None,
    *,
    secure: bool = True,
    others: tuple[str, ...] = (),
) -> tuple[ProxyCookies, Time]:
    clock, parsed = Time(), Portal.parse(portal)
    assert parsed is not None
    config = Config(issuer=ISSUER, keys=keys, access_lifetime=PERIOD, activity_interval=INTERVAL)
    made = ProxyCookies(config, parsed, domain, secure=secure, others=others, clock=clock)
    return made, clock


def pair(subject: str = "alice", step_up: str | None = None, keys: KeyRing = KEYS) -> TokenPair:
    issuer = TokenIssuer(
        keys.signing_key, issuer=ISSUER, audience=ISSUER, random_bytes=lambda size: b"x" * size
    )
    token = issuer.issue(
        subject,
        SESSION_ID,
        issued_at=NOW,
        expires_at=NOW + 10,
        claims={},
        authentication={} if step_up is None else {"step_up": step_up},
    )
    return TokenPair(token, "cpr_x", 10, SESSION_ID, subject, True, DAY, "1")


def value_of(header: tuple[str, str]) -> str:
    assert header[0] == "Set-Cookie"
    return header[1].partition(";")[0].partition("=")[2]


@pytest.mark.parametrize("subject", ["alice", "a", "é/ö %", "x" * 255])
@pytest.mark.parametrize("step_up", [None, "c3RlcC11cC4"])
def test_what_a_cookie_says(subject: str, step_up: str | None) -> None:
    cookies, clock = make()
    value = value_of(cookies.for_pair(pair(subject, step_up), is_lasting=True))
    ticket = cookies.read(value)
    assert ticket == Ticket(subject, SESSION_ID, step_up, NOW, is_lasting=True)
    token = cookies.access_token(ticket)
    verifier = TokenVerifier(KEYS, issuer=ISSUER, audience=ISSUER, clock=clock)
    claims = verifier.verify(token)
    assert (claims.subject, claims.session_id, claims.step_up) == (subject, SESSION_ID, step_up)
    assert rotation_of(claims) == 0, "to verify it is no use of an exchange"


@pytest.mark.parametrize(
    ("secure", "domain", "start", "rest"),
    [
        (True, None, "__Host-clusterpass-proxy=1.", "Path=/; Secure; HttpOnly; SameSite=Lax"),
        (
            True,
            "example.org",
            "__Secure-clusterpass-proxy=1.",
            "Path=/; Domain=example.org; Secure; HttpOnly; SameSite=Lax",
        ),
        (False, None, "clusterpass-proxy=1.", "Path=/; HttpOnly; SameSite=Lax"),
    ],
)
def test_its_attributes(secure: bool, domain: str | None, start: str, rest: str) -> None:
    cookies, _ = make(domain=domain, secure=secure)
    header = cookies.for_pair(pair(), is_lasting=False)[1]
    assert header.startswith(start)
    assert header.partition("; ")[2] == rest
    seconds = DAY + PERIOD + INTERVAL + 60
    assert f"; Max-Age={seconds}; {rest}" in cookies.for_pair(pair(), is_lasting=True)[1]
    assert cookies.forgotten()[1].partition("; ")[2] == f"Max-Age=0; {rest}"


def test_it_expires_after_its_session() -> None:
    cookies, clock = make()
    value = value_of(cookies.for_pair(pair(), is_lasting=False))
    clock.now = NOW + DAY + PERIOD + INTERVAL + 59
    cookies.read(value)
    clock.now += 1
    with pytest.raises(TokenExpired):
        cookies.read(value)


def test_when_it_is_due() -> None:
    cookies, clock = make()
    ticket = cookies.read(value_of(cookies.for_pair(pair(), is_lasting=False)))
    assert not cookies.is_due(ticket)
    clock.now = NOW + PERIOD - 1
    assert not cookies.is_due(ticket)
    clock.now += 1
    assert cookies.is_due(ticket)


def test_a_change_of_the_signing_key() -> None:
    value = value_of(make()[0].for_pair(pair(), is_lasting=False))
    both = KeyRing([*OTHER.all(), *KEYS.all()])
    rotated, _ = make(both)
    assert rotated.read(value).subject == "alice"
    renewed = value_of(rotated.for_pair(pair(keys=both), is_lasting=False))
    assert make(OTHER)[0].read(renewed).subject == "alice"
    with pytest.raises(TokenSignatureInvalid):
        make(OTHER)[0].read(value)
    with pytest.raises(TokenSignatureInvalid):
        make()[0].read(renewed)


def test_a_cookie_of_another_host_is_none_of_ours() -> None:
    value = value_of(make()[0].for_pair(pair(), is_lasting=False))
    for cookies in (
        make(portal="https://other.example.org/auth")[0],
        make(domain="example.org")[0],
    ):
        with pytest.raises(TokenSignatureInvalid):
            cookies.read(value)


@pytest.mark.parametrize("position", range(0, 200, 3))
def test_no_character_of_it_can_be_changed(position: int) -> None:
    cookies, _ = make()
    value = value_of(cookies.for_pair(pair(step_up="c3RlcC11cC4"), is_lasting=False))
    index = position % len(value)
    for other in "0A.é ":
        changed = value[:index] + other + value[index + 1 :]
        if changed != value:
            with pytest.raises((TokenMalformed, TokenSignatureInvalid)):
                cookies.read(changed)


def test_whom_it_is_sent_to() -> None:
    alone, _ = make()
    assert alone.place_of("app.example.org")
    for host in ("example.org", "x.app.example.org", "evilapp.example.org", None, ""):
        assert alone.place_of(host) is None
    domain, _ = make(domain="example.org")
    for sent in ("example.org", "app.example.org", "a.b.example.org"):
        assert domain.place_of(sent)
    for host in ("evilexample.org", "org", "example.org.evil", None):
        assert domain.place_of(host) is None


@pytest.mark.parametrize("domain", [None, "example.org"])
def test_a_host_of_another_domain_has_a_cookie_of_its_own(domain: str | None) -> None:
    cookies, _ = make(domain=domain, others=("app.example.net", "shop.example.com"))
    home, there = cookies.place_of("app.example.org"), cookies.place_of("app.example.net")
    elsewhere = cookies.place_of("shop.example.com")
    assert home is not None and there is not None and elsewhere is not None
    assert cookies.place_of("sub.app.example.net") is None
    ticket = cookies.ticket_for(pair(step_up="c3RlcC11cC4").access_token, False)
    session = Session("alice", SESSION_ID, None, NOW, NOW, NOW + DAY)
    header = cookies.renewed(ticket, session, there)
    assert header[1].startswith("__Host-clusterpass-proxy=1.")
    assert header[1].endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert cookies.read(value_of(header), there) == ticket
    for other in (home, elsewhere, None):
        with pytest.raises(TokenSignatureInvalid):
            cookies.read(value_of(header), other)
    with pytest.raises(TokenSignatureInvalid):
        cookies.read(value_of(cookies.for_pair(pair(), is_lasting=False)), there)


def test_the_cookies_of_a_session_share_a_token_that_is_replaced_in_time() -> None:
    cookies, clock = make()
    first = cookies.read(value_of(cookies.for_pair(pair(), is_lasting=False)))
    token = cookies.access_token(first)
    clock.now += 60
    second = cookies.read(value_of(cookies.for_pair(pair(), is_lasting=False)))
    assert first != second
    assert cookies.access_token(second) == token
    raised = cookies.read(value_of(cookies.for_pair(pair(step_up="c3RlcC11cC4"), is_lasting=False)))
    assert cookies.access_token(raised) != token
    clock.now += 3600
    verifier = TokenVerifier(KEYS, issuer=ISSUER, audience=ISSUER, clock=clock)
    assert verifier.verify(cookies.access_token(first)).session_id == SESSION_ID
