"""A verify from memory beside a dictionary, JWT libraries and a blocklist, in one thread."""

import asyncio
import secrets
import time
from collections.abc import Callable

import joserfc.jwt
import jwt
import redis
from flask import Flask
from flask_jwt_extended import JWTManager, create_access_token, verify_jwt_in_request
from joserfc.jwk import OctKey

from benchmarks.fixtures import ISSUER, SUBJECT, find_redis_server, make_config, server_version
from benchmarks.report import Goal, Report
from benchmarks.timing import Times, measure, measure_async
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, KeyRing, SessionManager

OURS, AWAITED = "clusterpass, from memory", "clusterpass, from memory, awaited"
DICTIONARY = "a dictionary hit with an expiry test"
PYJWT, JOSERFC = "PyJWT, HS256", "joserfc, HS256"
EXTENDED = "Flask-JWT-Extended with a blocklist in Redis"


def run(*, rounds: int = 200) -> Report:
    """Measure against six nodes of ours and one Redis of theirs."""
    with (
        EmbeddedCluster(nodes=6) as cluster,
        EmbeddedCluster(nodes=1, server=find_redis_server()) as single,
    ):
        config = make_config("HS256")
        with SessionManager.from_url(cluster.url, config) as manager:
            token = manager.login(SUBJECT).access_token
            _warm_up(lambda: manager.verify(token), lambda: manager.recall(token))
            candidates = {
                OURS: lambda: manager.verify(token),
                DICTIONARY: _dictionary(token),
                PYJWT: _pyjwt(token, config),
                JOSERFC: _joserfc(token, config.keys),
                EXTENDED: _extended(f"redis://{single.nodes[0].address}"),
            }
            times = measure(candidates, rounds=rounds, calls=50)
        awaited = asyncio.run(_awaited(cluster, config, rounds))
        version = server_version(cluster)
    ours = times.median(OURS)
    peers = [(name, times.median(name)) for name in candidates if name != OURS]
    shown = [(OURS, ours), (AWAITED, awaited), *peers]
    rows = [
        [
            name,
            f"{seconds * 1e6:.2f}",
            "1" if name in {OURS, AWAITED} else str(times.ratio(name, OURS)),
        ]
        for name, seconds in shown
    ]
    ratio = {name: times.ratio(name, OURS).median for name in candidates}
    return Report(
        name="warm_verify",
        title="A verify from memory",
        text=(
            "`SessionManager.verify` of a token that was verified before, compared with "
            "decoding a token (with issuer, audience, and the same claims required), with "
            "`verify_jwt_in_request` of Flask-JWT-Extended in a test request, which asks a "
            "Redis on this machine, and with a function that looks up a token in a dictionary "
            "and checks its expiry. Only ours and the one with Redis would notice a "
            "revocation."
        ),
        columns=("candidate", "us", "this : ours"),
        rows=rows,
        goals=[
            Goal("PyJWT : ours", ratio[PYJWT], at_least=50),
            Goal("Flask-JWT-Extended with Redis : ours", ratio[EXTENDED], at_least=200),
            Goal("ours : a dictionary hit", times.ratio(OURS, DICTIONARY).median, at_most=5),
        ],
        servers=[version],
        plot={name: seconds * 1e6 for name, seconds in shown},
        plot_label="microseconds for one verify",
    )


def _warm_up(verify: Callable[[], object], recall: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while recall() is None:
        if time.monotonic() > until:
            raise RuntimeError("nothing is served from memory")
        verify()
        time.sleep(0.02)


async def _awaited(cluster: EmbeddedCluster, config: Config, rounds: int) -> float:
    async with AsyncSessionManager.from_url(cluster.url, config) as manager:
        token = (await manager.login(SUBJECT)).access_token
        until = time.monotonic() + 10
        while manager.recall(token) is None and time.monotonic() < until:
            await manager.verify(token)
            await asyncio.sleep(0.02)
        times: Times = await measure_async(
            {AWAITED: lambda: manager.verify(token)}, rounds=rounds, calls=50, callers=1
        )
        return times.median(AWAITED)


def _dictionary(token: str) -> Callable[[], object]:
    known = {token: (time.monotonic() + 3600, {"subject": SUBJECT})}

    def verify(token: str) -> object:
        found = known.get(token)
        if found is not None and time.monotonic() < found[0]:
            return found[1]
        return None

    return lambda: verify(token)


def _pyjwt(token: str, config: Config) -> Callable[[], object]:
    secret = _secret(config.keys)
    options: jwt.types.Options = {"require": ["iss", "aud", "sub", "exp", "iat", "jti", "sid"]}
    return lambda: jwt.decode(
        token, secret, algorithms=["HS256"], audience=ISSUER, issuer=ISSUER, options=options
    )


def _joserfc(token: str, keys: KeyRing) -> Callable[[], object]:
    key = OctKey.import_key(_secret(keys))
    registry = joserfc.jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": ISSUER},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        jti={"essential": True},
        sid={"essential": True},
    )
    return lambda: registry.validate(joserfc.jwt.decode(token, key, algorithms=["HS256"]).claims)


def _extended(redis_url: str) -> Callable[[], object]:
    app = Flask(__name__)
    app.config["JWT_SECRET_KEY"] = secrets.token_hex(32)
    extension = JWTManager(app)
    blocklist = redis.Redis.from_url(redis_url, decode_responses=True)

    @extension.token_in_blocklist_loader  # type: ignore[untyped-decorator]
    def is_revoked(_: dict[str, str], payload: dict[str, str]) -> bool:
        return blocklist.get(payload["jti"]) is not None

    with app.app_context():
        headers = {"Authorization": f"Bearer {create_access_token(identity=SUBJECT)}"}

    def verify() -> object:
        with app.test_request_context(headers=headers):
            return verify_jwt_in_request()

    return verify


def _secret(keys: KeyRing) -> bytes:
    jwk = keys.signing_key.jwk(private=True)
    value = OctKey.import_key({"kty": "oct", "k": jwk["k"]}).raw_value
    assert isinstance(value, bytes)
    return value
