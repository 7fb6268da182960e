"""Old tokens, issuers and answers of an application that are refused."""

import base64
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clusterpass import (
    Config,
    ConfigurationError,
    InvalidRefreshToken,
    InvalidToken,
    SessionManager,
    SessionRevoked,
    migrate,
)
from clusterpass.migrate import (
    MigratingSessionManager,
    OldToken,
)
from clusterpass.testing import SimulatedClock
from tests.migrate.old_apps import SECRET, OldApp, flask_jwt_extended, pyjwt


@pytest.mark.parametrize("change", ["signature", "payload", "none"])
def test_a_forged_token_is_refused_as_ever(opened: Any, app: OldApp, change: str) -> None:
    sessions = opened(app)
    header, payload, signature = app.access.split(".")
    match change:
        case "signature":
            signature = signature[::-1]
        case "payload":
            payload = payload[:-4] + ("AAAA" if payload[-4:] != "AAAA" else "BBBB")
        case _:
            header, signature = "eyJhbGciOiJub25lIn0", ""
    forged = f"{header}.{payload}.{signature}"
    with pytest.raises(InvalidToken):
        sessions.verify(forged)
    with pytest.raises(InvalidRefreshToken) as caught:
        sessions.refresh(forged)
    assert caught.value.reason == "malformed"


def test_a_refresh_token_is_no_access_token(opened: Any) -> None:
    app = flask_jwt_extended()
    sessions = opened(app)
    with pytest.raises(InvalidToken):
        sessions.verify(app.refresh)
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh(app.access)


def test_a_store_that_forgets_too_early_is_refused(cp_url: str, cp_config: Config) -> None:
    with MigratingSessionManager.from_url(cp_url, cp_config) as sessions:
        with pytest.raises(ConfigurationError, match="generation_lifetime"):
            sessions.accept(pyjwt().issuer)
        with pytest.raises(ConfigurationError, match="issuer"):
            sessions.accept()
        assert isinstance(sessions, SessionManager)


def test_another_signature_does_not_make_another_token(
    opened: Any, cp_clock: SimulatedClock
) -> None:
    """A valid ECDSA signature (r, s) can be turned into (r, n - s)."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    now = int(cp_clock.wall())
    token = jwt.encode({"sub": "7", "iat": now, "exp": now + 3600}, pem, algorithm="ES256")
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    turned = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = f"{signed}.{base64.urlsafe_b64encode(turned).decode().rstrip('=')}"
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    issuer = migrate.pyjwt(public, algorithm="ES256", lifetime=3600)
    sessions = opened(OldApp(issuer, token, None))
    assert sessions.verify(twin).subject == "7"
    pair = sessions.refresh(token)
    assert sessions.refresh(twin).session_id == pair.session_id
    sessions.logout(token)
    for each in (token, twin):
        with pytest.raises(InvalidRefreshToken):
            sessions.refresh(each)
        with pytest.raises(SessionRevoked):
            sessions.verify(each)


def test_claims_that_no_session_can_carry_are_said(opened: Any, said: list[str]) -> None:
    now = int(time.time())
    large = {"sub": "7", "iat": now, "exp": now + 900, "notes": "x" * 5000}
    token = jwt.encode(large, SECRET, algorithm="HS256")
    app = OldApp(migrate.pyjwt(SECRET, lifetime=900), token, None)
    sessions = opened(app)
    assert sessions.verify(token).claims["notes"]
    with pytest.raises(InvalidRefreshToken):
        sessions.refresh(token)
    assert any("pass user_of" in each for each in said)


@pytest.mark.parametrize(
    ("issuers", "more", "says"),
    [
        ((), {}, "issuer"),
        (("x",), {}, "flask_jwt_extended"),
        ((migrate.pyjwt(SECRET, lifetime=60), migrate.pyjwt("b" * 40, lifetime=60)), {}, "name="),
        ((migrate.pyjwt(SECRET, lifetime=60), migrate.authx(SECRET)), {}, "one key"),
        ((), {"look_up": len, "look_up_lifetime": 0}, "look_up_lifetime"),
        ((), {"look_up": len, "look_up_lifetime": "5"}, "look_up_lifetime"),
        ((), {"look_up": len, "look_up_lifetime": 5, "look_up_name": None}, "look_up_name"),
        (
            (migrate.pyjwt(SECRET, lifetime=60),),
            {"look_up": len, "look_up_lifetime": 5, "look_up_name": "pyjwt"},
            "look_up_name",
        ),
        ((migrate.pyjwt(SECRET, lifetime=60, name="a"), migrate.authx("c" * 40)), {}, None),
    ],
)
def test_what_cannot_be_accepted_is_said(
    cp_url: str, config: Config, issuers: Any, more: Any, says: str | None
) -> None:
    with MigratingSessionManager.from_url(cp_url, config) as sessions:
        if says is None:
            sessions.accept(*issuers, **more)
            return
        with pytest.raises(ConfigurationError, match=says):
            sessions.accept(*issuers, **more)


@pytest.mark.parametrize("found", ["a user", OldToken, 5])
def test_what_an_application_returns_is_checked(opened: Any, found: Any) -> None:
    app = pyjwt()
    sessions = opened(app, user_of=lambda _: found)
    with pytest.raises(ConfigurationError, match="OldUser"):
        sessions.verify(app.access)
    looking = opened(app, look_up=lambda _: found, look_up_lifetime=60)
    with pytest.raises(ConfigurationError, match="look_up"):
        looking.verify("opaque")
