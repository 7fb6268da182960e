"""The check of an access token, compared with ``decode`` of PyJWT and of joserfc."""

import json
import time
import warnings
from typing import Any

import jwt as pyjwt
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import JWKRegistry

from benchmarks.fixtures import ISSUER, make_config, make_verifier
from benchmarks.report import Goal, Report, microseconds
from benchmarks.timing import Call, measure
from clusterpass import Config, TokenIssuer
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.identifiers import encode_session_id

ALGORITHMS: tuple[SigningAlgorithm, ...] = ("HS256", "EdDSA", "ES256", "RS256")
_PEERS = ("pyjwt", "joserfc")


def run(*, rounds: int = 150, calls: int = 30) -> Report:
    """Measure each algorithm; no server is needed."""
    rows: list[list[str]] = []
    goals: list[Goal] = []
    for algorithm in ALGORITHMS:
        config = make_config(algorithm)
        candidates = _candidates(config, _token(config))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joserfc says that RFC 9864 renames EdDSA
            times = measure(candidates, rounds=rounds, calls=calls)
        bare = times.ratio("clusterpass", "signature", "payload")
        by_peer = {peer: times.ratio(peer, "clusterpass") for peer in _PEERS}
        rows.append(
            [
                algorithm,
                microseconds(times.median("clusterpass")),
                microseconds(times.median("signature")),
                str(bare),
                *[str(ratio) for ratio in by_peer.values()],
            ]
        )
        if algorithm == "HS256":
            ours = times.ratio("clusterpass", "pyjwt").median
            goals.append(Goal("HS256, ours : PyJWT", ours, at_most=0.5))
        else:
            goals.append(Goal(f"{algorithm}, PyJWT : ours", by_peer["pyjwt"].median, at_least=1))
        if algorithm == "EdDSA":
            goals.append(Goal("EdDSA, ours : bare signature and JSON", bare.median, at_most=1.2))
    return Report(
        name="jose",
        title="The first check of an access token",
        text=(
            "`TokenVerifier.verify` (signature, type, issuer, audience, times, duplicate "
            "members, canonical base64url; a distinct error for each) compared with "
            "`jwt.decode` of PyJWT and `jwt.decode` of joserfc with a claims registry, each "
            "with a prepared key and the same claims required. *Signature alone* is the part "
            "of ours that the cryptography takes; *bare* adds `json.loads` of the payload. A "
            "manager checks a token once. Times in us."
        ),
        columns=(
            "algorithm",
            "ours",
            "signature alone",
            "ours : bare",
            "PyJWT : ours",
            "joserfc's decode : ours",
        ),
        rows=rows,
        goals=goals,
    )


def _token(config: Config) -> str:
    now = int(time.time())
    issuer = TokenIssuer(
        config.keys.signing_key, issuer=ISSUER, audience=config.audience, random_bytes=bytes
    )
    session_id = encode_session_id(bytes(16))
    return issuer.issue("user-123456", session_id, issued_at=now, expires_at=now + 3600, claims={})


def _candidates(config: Config, token: str) -> dict[str, Call]:
    key = config.keys.signing_key
    algorithm: str = key.algorithm
    jwk: dict[str, Any] = key.jwk(private=key.is_symmetric)
    verifier = make_verifier(config)
    pyjwt_key = pyjwt.PyJWK.from_dict(jwk)
    joserfc_key = JWKRegistry.import_key(jwk)
    claims = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": config.audience},
        exp={"essential": True},
        sub={"essential": True},
        sid={"essential": True},
    )
    message, _, _ = token.rpartition(".")
    payload = token.split(".")[1]
    signature = pyjwt.utils.base64url_decode(token.rpartition(".")[2])

    def with_pyjwt() -> object:
        return pyjwt.decode(
            token,
            pyjwt_key,
            algorithms=[algorithm],
            audience=config.audience,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub", "sid", "jti"]},
        )

    def with_joserfc() -> object:
        decoded = joserfc_jwt.decode(token, joserfc_key, algorithms=[algorithm])
        claims.validate(decoded.claims)
        return decoded

    return {
        "clusterpass": lambda: verifier.verify(token),
        "signature": lambda: key.verify(message.encode(), signature),
        "payload": lambda: json.loads(pyjwt.utils.base64url_decode(payload)),
        "pyjwt": with_pyjwt,
        "joserfc": with_joserfc,
    }
