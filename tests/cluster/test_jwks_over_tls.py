"""Keys are fetched from a server whose certificate is trusted, and from no other."""

import asyncio
import ssl
from typing import Any

import pytest

from clusterpass import AsyncTokenVerifier, KeysUnavailable, TlsFiles, TokenVerifier
from tests.unit.jwks_issuer import AUDIENCE, ISSUER, NOW, served

OPTIONS: dict[str, Any] = {
    "issuer": ISSUER,
    "audience": AUDIENCE,
    "clock": lambda: NOW,
    "timeout": 30,
}


def test_a_server_that_is_trusted(tls_files: TlsFiles) -> None:
    context = ssl.create_default_context(cafile=tls_files.ca_file)
    with served(tls_files) as issuer:
        verifier = TokenVerifier.from_jwks_url(issuer.url, ssl_context=context, **OPTIONS)
        assert verifier.verify(issuer.token()).subject == "alice"
        other = AsyncTokenVerifier.from_jwks_url(issuer.url, ssl_context=context, **OPTIONS)
        assert asyncio.run(other.verify(issuer.token())).subject == "alice"


def test_a_server_that_nobody_vouches_for(tls_files: TlsFiles) -> None:
    with served(tls_files) as issuer:
        with pytest.raises(KeysUnavailable):
            TokenVerifier.from_jwks_url(issuer.url, **OPTIONS).verify(issuer.token())
        with pytest.raises(KeysUnavailable):
            other = AsyncTokenVerifier.from_jwks_url(issuer.url, **OPTIONS)
            asyncio.run(other.verify(issuer.token()))
        assert issuer.requests == 0
