"""Keys whose private half is elsewhere: in SoftHSM by PKCS #11, and in services that answer DER."""

import copy
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from clusterpass import Config, ConfigurationError, KeyRing, Signer, TokenVerifier
from clusterpass.model.errors import KeyRejected
from clusterpass.tokens.keys import SigningKey
from clusterpass.web.derived_secrets import derived_secrets
from tests.security.tokens import ISSUER

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "1234"


class Hsm:
    """A token of SoftHSM, with keys that cannot be taken out."""

    def __init__(self, folder: Path) -> None:
        import pkcs11

        tokens = folder / "tokens"
        tokens.mkdir()
        (folder / "softhsm2.conf").write_text(
            f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
        tool = ["softhsm2-util", "--init-token", "--free", "--label", "auth"]
        subprocess.run([*tool, "--so-pin", PIN, "--pin", PIN], check=True, capture_output=True)
        self.library = pkcs11.lib(str(MODULE))
        self.session = self.library.get_token(token_label="auth").open(user_pin=PIN, rw=True)


class P256:
    """Signs in the HSM. PKCS #11 gives r and s as a JWS has them, of a hash that it is given."""

    def __init__(self, hsm: Hsm) -> None:
        from pkcs11 import Attribute, KeyType
        from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

        parameters = hsm.session.create_domain_parameters(
            KeyType.EC,
            {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")},
            local=True,
        )
        public, self.private = parameters.generate_keypair()
        from cryptography.hazmat.primitives.serialization import load_der_public_key
        from joserfc.jwk import ECKey

        self.jwk = dict(
            ECKey.import_key(load_der_public_key(encode_ec_public_key(public))).as_dict()
        )

    def sign(self, message: bytes) -> bytes:
        from pkcs11 import Mechanism

        digest = hashes.Hash(hashes.SHA256())
        digest.update(message)
        return bytes(self.private.sign(digest.finalize(), mechanism=Mechanism.ECDSA))


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return Hsm(tmp_path_factory.mktemp("hsm"))


def test_tokens_are_signed_in_an_hsm(hsm: Hsm) -> None:
    signer = P256(hsm)
    assert isinstance(signer, Signer)
    ring = KeyRing.with_signer({**signer.jwk, "kid": "hsm"}, signer)
    assert ring.can_sign
    assert ring.signing_key.algorithm == "ES256"
    message = b"header.payload"
    assert ring.signing_key.verify(message, ring.signing_key.sign(message))
    assert "d" not in ring.public_jwks()["keys"][0]
    with pytest.raises(ConfigurationError, match="with its signer"):
        ring.private_jwks_text()


class Der:
    """As AWS KMS, Google Cloud KMS and others sign with a P-256 key."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))


class Rsa:
    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65_537, 2048)

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def jwk_of(signer: Any, kind: str) -> dict[str, Any]:
    from joserfc.jwk import ECKey, RSAKey

    imported: Any = (ECKey if kind == "EC" else RSAKey).import_key(signer.key.public_key())
    return {**imported.as_dict(), "kid": "outside"}


@pytest.mark.parametrize(("make", "kind"), [(Der, "EC"), (Rsa, "RSA")])
def test_what_services_answer_is_a_signature(make: Any, kind: str) -> None:
    signer = make()
    key = SigningKey.with_signer(jwk_of(signer, kind), signer)
    for number in range(20):  # r and s of ES256 are shorter now and then
        message = b"message %d" % number
        assert key.verify(message, key.sign(message))
    assert len(key.sign(b"x")) == (64 if kind == "EC" else 256)


def test_a_signer_of_another_key_is_refused_at_once() -> None:
    one, other = Der(), Der()
    with pytest.raises(KeyRejected, match="signs with another key"):
        KeyRing.with_signer(jwk_of(one, "EC"), other)

    class Odd:
        def sign(self, message: bytes) -> bytes:
            return b"odd"

    with pytest.raises(KeyRejected, match="no signature of ES256"):
        KeyRing.with_signer(jwk_of(one, "EC"), Odd())
    private = SigningKey.generate("ES256").jwk(private=True)
    with pytest.raises(KeyRejected, match="private half in the JWK"):
        KeyRing.with_signer(private, one)


@pytest.mark.parametrize(("make", "kind"), [(Der, "EC"), (Rsa, "RSA")])
def test_what_is_no_signer_is_refused_with_a_reason(make: Any, kind: str) -> None:
    class Awaited:
        async def sign(self, message: bytes) -> bytes:
            return message

    class Text:
        def sign(self, message: bytes) -> str:
            return "c2lnbmF0dXJl"

    jwk = jwk_of(make(), kind)
    for unfit, why in ((Awaited(), "coroutine"), (Text(), "bytes, and this one str"), (5, "sign")):
        with pytest.raises(KeyRejected, match=why):
            KeyRing.with_signer(jwk, unfit)  # type: ignore[arg-type]


def test_what_a_signer_raises_reaches_the_caller() -> None:
    class Down(Der):
        is_down = False

        def sign(self, message: bytes) -> bytes:
            if self.is_down:
                raise TimeoutError("the KMS does not answer")
            return super().sign(message)

    signer = Down()
    key = SigningKey.with_signer(jwk_of(signer, "EC"), signer)
    signer.is_down = True
    with pytest.raises(TimeoutError):
        key.sign(b"message")


def test_nothing_is_derived_from_a_key_that_is_elsewhere() -> None:
    signer = Der()
    ring = KeyRing.with_signer(jwk_of(signer, "EC"), signer)
    with pytest.raises(ConfigurationError, match="refresh_secrets"):
        ring.signing_key.derive_secret("forms")
    with pytest.raises(ConfigurationError, match="refresh_secrets"):
        derived_secrets(ring, (), "forms")
    older = KeyRing.generate("ES256")
    both = KeyRing.with_signer(jwk_of(signer, "EC"), signer, others=older)
    assert both.signing_key.kid == "outside"
    assert derived_secrets(both, (), "forms") == derived_secrets(older, (), "forms")


def test_a_ring_with_a_signer_is_copied_and_compared() -> None:
    signer = Der()
    ring = KeyRing.with_signer(jwk_of(signer, "EC"), signer)
    assert copy.deepcopy(ring) == ring
    assert ring != KeyRing.from_jwks(ring.public_jwks()), "which cannot sign"
    key = SigningKey.with_signer(jwk_of(AGENT, "EC"), AGENT)
    again = pickle.loads(pickle.dumps(key, protocol=5))
    assert again == key
    assert key.verify(b"m", again.sign(b"m"))


class Agent(Der):
    """Such as can be reached from any process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _agent, ()


def _agent() -> "Agent":
    return AGENT


AGENT = Agent()


def test_sessions_on_a_key_in_an_hsm(hsm: Hsm, single_server: Any) -> None:
    from clusterpass import SessionManager

    signer = P256(hsm)
    ring = KeyRing.with_signer({**signer.jwk, "kid": "hsm"}, signer)
    config = Config(issuer=ISSUER, keys=ring)
    with SessionManager.from_url(f"{single_server.url}?namespace=hsm", config) as manager:
        pair = manager.login("alice")
        newer = manager.refresh(pair.refresh_token)
        assert manager.verify(newer.access_token).subject == "alice"
        manager.logout(newer.refresh_token)
    outside = TokenVerifier(KeyRing.from_jwks(ring.public_jwks()), issuer=ISSUER, audience=ISSUER)
    assert outside.verify(newer.access_token).subject == "alice"
