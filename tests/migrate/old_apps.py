"""Tokens as other libraries issue them, made by these libraries themselves."""

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from clusterpass import migrate
from clusterpass.migrate import OldIssuer

SECRET = "the-secret-of-the-old-application"
DAY = 86_400


@dataclass
class OldApp:
    """An application on another library."""

    issuer: OldIssuer
    access: str
    """A token by which requests are made, of the user 7 with the scope orders:read."""
    refresh: str | None
    """A token that can be exchanged; None: only ``access`` can."""

    @property
    def exchangeable(self) -> str:
        return self.refresh or self.access


def flask_jwt_extended() -> OldApp:
    from flask import Flask
    from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token

    app = Flask("old")
    app.config["JWT_SECRET_KEY"] = SECRET
    JWTManager(app)
    with app.app_context():
        return OldApp(
            migrate.flask_jwt_extended(SECRET),
            create_access_token("7", additional_claims={"scope": "orders:read"}, fresh=True),
            create_refresh_token("7", additional_claims={"scope": "orders:read"}),
        )


_SIMPLEJWT = """
import json, sys
from django.conf import settings
apps = ["django.contrib.auth", "django.contrib.contenttypes"]
settings.configure(SECRET_KEY=sys.argv[1], USE_TZ=True, INSTALLED_APPS=apps)
import django
django.setup()
from rest_framework_simplejwt.tokens import RefreshToken
refresh = RefreshToken()
refresh["user_id"], refresh["scope"] = 7, "orders:read"
print(json.dumps([str(refresh.access_token), str(refresh)]))
"""


def simplejwt() -> OldApp:
    # Django has one configuration for a whole process.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SIMPLEJWT, SECRET],
        capture_output=True,
        text=True,
        check=True,
    )
    access, refresh = json.loads(done.stdout)
    return OldApp(migrate.simplejwt(SECRET), access, refresh)


def fastapi_users() -> OldApp:
    from fastapi_users.jwt import generate_jwt

    token = generate_jwt(
        {"sub": "7", "aud": ["fastapi-users:auth"], "scope": "orders:read"}, SECRET, 3600
    )
    return OldApp(migrate.fastapi_users_jwt(SECRET, lifetime=3600), token, None)


def authx() -> OldApp:
    from authx import AuthX, AuthXConfig

    old = AuthX(config=AuthXConfig(JWT_SECRET_KEY=SECRET, JWT_ALGORITHM="HS256"))
    scope: dict[str, Any] = {"data": {"scope": "orders:read"}}
    return OldApp(
        migrate.authx(SECRET),
        old.create_access_token("7", **scope),
        old.create_refresh_token("7", **scope),
    )


_RSA = rsa.generate_private_key(65537, 2048)
PRIVATE = _RSA.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
PUBLIC = _RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


_AUTHLIB = """
import sys, time
from authlib.jose import jwt
now = int(time.time())
claims = {"iss": "https://old.example", "sub": "7", "aud": "shop", "client_id": "app"}
claims |= {"iat": now, "exp": now + 3600, "jti": "j1", "scope": "orders:read"}
print(jwt.encode({"alg": "RS256", "typ": "at+jwt"}, claims, sys.stdin.buffer.read()).decode())
"""


def authlib() -> OldApp:
    # Authlib warns of changes of its own, whatever the filters.
    done = subprocess.run(
        [sys.executable, "-c", _AUTHLIB], input=PRIVATE, capture_output=True, check=True
    )
    issuer = migrate.authlib(PUBLIC, lifetime=3600, issuer="https://old.example", audience="shop")
    return OldApp(issuer, done.stdout.decode().strip(), None)


def pyjwt() -> OldApp:
    now = int(time.time())

    def make(use: str, seconds: int) -> str:
        members = {"user": 7, "use": use, "iat": now, "exp": now + seconds, "scope": "orders:read"}
        return jwt.encode(members, SECRET, algorithm="HS512")

    issuer = migrate.pyjwt(
        SECRET,
        algorithm="HS512",
        lifetime=7 * DAY,
        subject_claim="user",
        kind_claim="use",
        kinds={"api": "access", "renew": "refresh"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # HS512 should have a longer secret
        return OldApp(issuer, make("api", 900), make("renew", 7 * DAY))


EXCHANGING = ("Flask-JWT-Extended", "simplejwt", "fastapi-users", "AuthX", "PyJWT")
"""The libraries whose signed tokens can be exchanged; Authlib's refresh tokens are opaque."""
APPS: dict[str, Callable[[], OldApp]] = {
    "Flask-JWT-Extended": flask_jwt_extended,
    "simplejwt": simplejwt,
    "fastapi-users": fastapi_users,
    "AuthX": authx,
    "Authlib": authlib,
    "PyJWT": pyjwt,
}
