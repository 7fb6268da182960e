"""The auth service reaches a store whose password and certificates are renewed while it runs."""

import asyncio
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from clusterpass import ConfigurationError, KeyRing
from clusterpass.service.app import create_app
from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.settings.loading import load_settings
from tests.cluster.conftest import REDIS_SERVER
from tests.ports import free_port

from .certificates import Authority, Files
from .servers import Servers, servers

pytestmark = pytest.mark.timeout(120)
_PASSPHRASE = "not-for-the-log"


@pytest.fixture(params=["redis"])
def started() -> Iterator[Servers]:
    """Starts servers of the program that has TLS."""
    with servers(REDIS_SERVER) as made:
        yield made


async def become(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


async def test_a_password_that_changes_and_an_encrypted_key(
    started: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    keys, password, passphrase = (tmp_path / name for name in ("keys.json", "password", "phrase"))
    KeyRing.generate().save(keys)
    password.write_text("first-secret\n")
    passphrase.write_text(_PASSPHRASE)
    authority, port = Authority("authority"), free_port()
    server = Files(tmp_path / "server").write(authority.pem, authority.issue("store.example"))
    client = Files(tmp_path / "client")
    client.write(authority.pem, authority.issue("app", passphrase=_PASSPHRASE))
    plain = started.start(*server.of_server(port))
    user = ("ACL", "SETUSER", "app", "on", "~*", "&*", "+@all", "resetpass")
    started.ask(plain, *user, ">first-secret")
    url = f"rediss://app@10.9.9.9:7000?{client.of_client()}"
    for name, value in {
        "STORE_URL": url,
        "KEYS_FILE": str(keys),
        "STORE_PASSWORD_FILE": str(password),
        "STORE_SERVER_NAME": "store.example",
        "STORE_ADDRESS_REMAP": f"10.9.9.9:7000=127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(f"CLUSTERPASS_{name}", value)
    with pytest.raises(ConfigurationError, match="store_key_password_file"):
        load_settings()
    monkeypatch.setenv("CLUSTERPASS_STORE_KEY_PASSWORD_FILE", str(passphrase))
    log = io.StringIO()
    app = create_app(load_settings(), logger=make_logger("json", log))
    async with (
        app.running(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as http,
    ):
        assert (await http.get("/readyz")).status_code == 200
        started.ask(plain, *user, ">second-secret")
        for kind in ("normal", "pubsub"):
            started.ask(plain, "CLIENT", "KILL", "TYPE", kind)
        assert (await http.get("/readyz")).status_code == 503
        await become(lambda: "store_unavailable" in log.getvalue())
        password.write_text("second-secret\n")
        await become(lambda: "store_available" in log.getvalue())
        assert (await http.get("/readyz")).status_code == 200
    assert "10.9.9.9:7000" in log.getvalue()
    for secret in ("first-secret", "second-secret", _PASSPHRASE):
        assert secret not in log.getvalue()
