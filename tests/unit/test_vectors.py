"""Published examples of signatures, checked with the keys themselves."""

import hashlib
import json
from typing import Any

import pytest

from clusterpass.tokens.encoding import decode_base64url, encode_base64url
from clusterpass.tokens.keys import SigningKey

JOE = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
ED25519_PRIVATE = {
    "kty": "OKP",
    "crv": "Ed25519",
    "kid": "rfc8037-a1",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
ED25519_EXAMPLE = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
HS256_PRIVATE = {
    "kty": "oct",
    "kid": "rfc7515-a1",
    "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
}
HS256_EXAMPLE = (
    f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
EXAMPLES: dict[str, tuple[dict[str, Any], str]] = {
    "RFC 8037 A.4 (EdDSA)": (ED25519_PRIVATE, ED25519_EXAMPLE),
    "RFC 8037 A.4 by the public half": (
        {name: value for name, value in ED25519_PRIVATE.items() if name != "d"},
        ED25519_EXAMPLE,
    ),
    "RFC 9864, the same under its other name": (
        {**ED25519_PRIVATE, "alg": "Ed25519"},
        ED25519_EXAMPLE,
    ),
    "RFC 7515 A.1 (HS256)": (HS256_PRIVATE, HS256_EXAMPLE),
    "RFC 7515 A.2 (RS256)": (
        {
            "kty": "RSA",
            "kid": "rfc7515-a2",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2"
            "mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LO"
            "L-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3"
            "qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb5"
            "4h4FRWyuXpoQ",
            "e": "AQAB",
        },
        f"eyJhbGciOiJSUzI1NiJ9.{JOE}."
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W"
        "2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS"
        "jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv"
        "Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    "RFC 7515 A.3 (ES256)": (
        {
            "kty": "EC",
            "crv": "P-256",
            "kid": "rfc7515-a3",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        f"eyJhbGciOiJFUzI1NiJ9.{JOE}."
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_signature_of_the_standard(name: str) -> None:
    jwk, example = EXAMPLES[name]
    key = SigningKey.from_jwk(jwk)
    message, _, signature = example.rpartition(".")
    genuine = decode_base64url(signature)
    assert key.verify(message.encode(), genuine)
    assert not key.verify(message.encode() + b"x", genuine)
    assert not key.verify(message.encode(), bytes([genuine[0] ^ 1]) + genuine[1:])


@pytest.mark.parametrize(
    ("jwk", "example"), [(ED25519_PRIVATE, ED25519_EXAMPLE), (HS256_PRIVATE, HS256_EXAMPLE)]
)
def test_signature_that_is_made_is_the_one_of_the_standard(
    jwk: dict[str, Any], example: str
) -> None:
    message, _, signature = example.rpartition(".")
    assert encode_base64url(SigningKey.from_jwk(jwk).sign(message.encode())) == signature


@pytest.mark.parametrize(
    ("algorithm", "required"),
    [
        ("EdDSA", "crv kty x"),
        ("Ed25519", "crv kty x"),
        ("ES256", "crv kty x y"),
        ("RS256", "e kty n"),
    ],
)
def test_kid_of_a_new_key_is_its_thumbprint(algorithm: Any, required: str) -> None:
    """RFC 7638: the SHA-256 of the required members, in order, without spaces."""
    key = SigningKey.generate(algorithm)
    jwk = key.jwk(private=False)
    text = json.dumps({name: jwk[name] for name in required.split()}, separators=(",", ":"))
    assert key.kid == encode_base64url(hashlib.sha256(text.encode()).digest())
