"""Consumers of Django Channels are connected for as long as their session lives."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager
from clusterpass.cli.local_setup import write_keys
from tests.cluster.stored import eventually

from .conftest import HANGING
from .served import Served, served

APPLICATION = "tests.integrations.channels_site:application"
SERVERS = {
    "daphne": ["daphne", "--bind", "127.0.0.1", "--port", "PORT", APPLICATION],
    "uvicorn": ["uvicorn", "--port", "PORT", APPLICATION],
}
ISSUER = "https://site.example"


class Site:
    """A server, and a manager of its sessions in another process than the server's."""

    def __init__(self, server: Served, name: str, manager: SessionManager) -> None:
        self.server = server
        self.manager = manager
        self.tells_more = name == "uvicorn"
        """Whether the server passes on the reason of a close, and the answer to a handshake."""

    def open(self, path: str, **headers: str) -> ClientConnection:
        return connect(
            f"ws://127.0.0.1:{self.server.port}{path}",
            additional_headers=headers,
            open_timeout=HANGING,
        )

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.server.url}/state").json()
        return found

    def who(self, path: str = "/who", **headers: str) -> dict[str, Any]:
        with self.open(path, **headers) as socket:
            found: dict[str, Any] = json.loads(socket.recv(HANGING))
            return found

    def closed(self, socket: ClientConnection) -> tuple[int, str]:
        """The code with which the server closes, and the first word of the reason."""
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(HANGING)
        frame = caught.value.rcvd
        assert frame is not None
        return frame.code, frame.reason.partition(":")[0]

    def refused(self, path: str, **headers: str) -> int:
        with pytest.raises(InvalidStatus) as caught:
            self.open(path, **headers)
        return caught.value.response.status_code

    def told(self, code: int, reason: str) -> tuple[int, str]:
        return code, reason if self.tells_more else ""


def start(name: str, url: str, folder: Path) -> Iterator[Site]:
    keys_file = folder / "keys.json"
    write_keys(keys_file)
    variables = {
        "FOLDER": str(folder),
        "CLUSTERPASS_STORE_URL": url,
        "CLUSTERPASS_ISSUER": ISSUER,
        "CLUSTERPASS_KEYS_FILE": str(keys_file),
        "CLUSTERPASS_ACCESS_LIFETIME": "10",
    }
    config = Config(issuer=ISSUER, keys=KeyRing.load(keys_file), access_lifetime=10)
    with served(SERVERS[name], folder, variables, "/who") as server:
        with SessionManager.from_url(url, config) as manager:
            yield Site(server, name, manager)


@pytest.fixture(scope="module", params=SERVERS)
def site(
    request: pytest.FixtureRequest,
    cluster: EmbeddedCluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    url = f"{cluster.url}?namespace=channels-{request.param}"
    yield from start(request.param, url, tmp_path_factory.mktemp("site"))


@pytest.fixture
def pair(site: Site, subject: str) -> Any:
    return site.manager.login(subject, claims={"scope": "chat", "role": "guest"})


def by_token(pair: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair.access_token}"}


@contextlib.contextmanager
def raw_socket(port: int, pair: Any) -> Iterator[Any]:
    """A WebSocket whose client answers nothing."""
    request = (
        f"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {pair.access_token}"
        "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
        "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with create_connection(("127.0.0.1", port), HANGING) as connection:
        connection.sendall(request.encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += connection.recv(1)
        assert b" 101 " in answer
        yield connection


def text_frame(text: str) -> bytes:
    """A frame of a client; its mask (RFC 6455 section 5.3) changes nothing."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode()


def asked(socket: ClientConnection, text: str) -> str:
    socket.send(text)
    answer = socket.recv(HANGING)
    assert isinstance(answer, str)
    return answer


@pytest.mark.sampled(2)
@pytest.mark.parametrize("path", ["/echo", "/sync-echo"])
def test_a_consumer_is_disconnected_when_its_session_ends(site, pair, path):
    with site.open(path, **by_token(pair)) as socket:
        assert asked(socket, "hello") == "hello guest"
        site.manager.revoke_all(pair.subject, reason="stolen")
        assert site.closed(socket) == site.told(4401, "session_revoked")
    eventually(lambda: [pair.subject, 4401] in site.state()["left"])


def test_a_client_that_does_not_answer_is_not_listened_to(site, pair):
    with raw_socket(site.server.port, pair) as connection:
        connection.sendall(text_frame("early"))
        assert connection.recv(1000).endswith(b"early guest")
        site.manager.revoke_all(pair.subject)
        assert connection.recv(4)[2:] == (4401).to_bytes(2)
        with contextlib.suppress(ConnectionError):
            connection.sendall(text_frame("late"))
        eventually(lambda: [pair.subject, 4401] in site.state()["left"])
        heard = [text for subject, text in site.state()["heard"] if subject == pair.subject]
        assert heard == ["early"]


def test_a_group_loses_a_consumer_whose_session_ended(site, pair, new_subject):
    other = site.manager.login(new_subject(), claims={"scope": "chat", "role": "guest"})
    with site.open("/echo", **by_token(pair)) as one, site.open("/echo", **by_token(other)) as two:
        one.send("everyone")
        assert (one.recv(HANGING), two.recv(HANGING)) == ("to everyone", "to everyone")
        site.manager.revoke_all(pair.subject)
        assert site.closed(one)[0] == 4401
        assert asked(two, "everyone") == "to everyone"


def test_a_consumer_stays_across_refreshes_and_follows_claims(site, pair):
    with site.open("/echo", **by_token(pair)) as socket:
        assert asked(socket, "a") == "a guest"
        renewed = site.manager.refresh(pair.refresh_token)
        site.manager.claims.set(pair.subject, {"role": "editor"})
        while asked(socket, "b") != "b editor":
            pass
        site.manager.logout(renewed.access_token)
        assert site.closed(socket) == site.told(4401, "session_revoked")


def test_a_consumer_is_disconnected_when_its_scope_goes(site, pair):
    with site.open("/echo", **by_token(pair)) as socket:
        assert asked(socket, "a") == "a guest"
        site.manager.claims.set(pair.subject, {"scope": "mail"})
        assert site.closed(socket) == site.told(4403, "scope_missing")


def test_a_consumer_is_disconnected_when_its_subject_is_banned(site, pair):
    with site.open("/echo", **by_token(pair)) as socket:
        assert asked(socket, "a") == "a guest"
        site.manager.bans.add(pair.subject, scope="chat")
        assert site.closed(socket)[0] == 4403
        site.manager.bans.lift(pair.subject, scope="chat")


@pytest.mark.parametrize("last", ["the client", "the consumer"])
def test_a_session_is_not_watched_after_the_connection(site, pair, last):
    eventually(lambda: site.state()["watched"] == 0)
    with site.open("/echo", **by_token(pair)) as socket:
        assert asked(socket, "a") == "a guest"
        assert site.state()["watched"] == 1
        if last == "the consumer":
            socket.send("bye")
            assert site.closed(socket)[0] == 4000
    eventually(lambda: site.state()["watched"] == 0)
    assert [pair.subject, 4401] not in site.state()["left"]


def test_who_has_no_session_is_refused(site, pair):
    missing = site.manager.login(pair.subject, claims={"role": "guest"})
    assert site.refused("/echo", **by_token(missing)) == 403
    site.manager.revoke_all(pair.subject)
    for headers in ({}, by_token(pair), {"Authorization": "Bearer nonsense"}):
        assert site.refused("/echo", **headers) == (401 if site.tells_more else 403)


def test_a_query_that_django_does_not_read_is_refused(site, pair):
    query = "&".join(["x"] * 1001)
    for path in ("/echo", "/sync-echo"):
        assert site.refused(f"{path}?{query}") == (400 if site.tells_more else 403)
        with site.open(f"{path}?{query}", **by_token(pair)) as socket:
            assert asked(socket, "a") == "a guest", "a token in a header is found before"
    assert site.who(f"/who?{query}") == {"user": "", "session": None}


def test_a_browser_connects_with_its_cookie_from_its_own_site_only(site, pair):
    cookie = f"clusterpass-access={pair.access_token}"
    with site.open("/echo", Cookie=cookie, Origin=site.server.url) as socket:
        assert asked(socket, "a") == "a guest"
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        assert site.refused("/echo", Cookie=cookie, **headers) == 403
        assert site.who(Cookie=cookie, **headers) == {"user": "", "session": None}


def test_the_user_is_that_of_the_session(site, pair):
    alice = site.manager.login("alice")
    found = {"user": "alice", "session": alice.session_id}
    assert site.who(**by_token(alice)) == found
    assert site.who(f"/who?access_token={alice.access_token}") == found
    assert site.who(**by_token(pair)) == {"user": "", "session": pair.session_id}
    assert site.who() == {"user": "", "session": None}


def test_a_login_of_django_ends_with_its_session(site):
    with httpx.Client(base_url=site.server.url) as browser:
        browser.get("/log-in?name=alice")
        cookies = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        }
        own = {**cookies, "Origin": site.server.url}
        assert site.who(**own)["user"] == "alice"
        assert site.who(**cookies)["user"] == "", "from nowhere"
        bob = site.manager.login("bob")
        assert site.who(**own, **by_token(bob))["user"] == "bob"
        by_query = f"/who?access_token={bob.access_token}"
        django_alone = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
        assert site.who(by_query, **django_alone)["user"] == "bob"
        assert browser.get("/who").json() == {"user": "alice"}, "it has not been logged out"
        site.manager.revoke_all("alice")
        assert site.who(**own) == {"user": "", "session": None}
        browser.cookies.delete("clusterpass-access")
        browser.cookies.delete("clusterpass-refresh")
        assert browser.get("/who").json() == {"user": ""}, "Django's session has ended too"


@pytest.mark.alternating
def test_in_an_outage_a_consumer_stays_unless_it_is_to_be_disconnected(tmp_path, subject):
    with EmbeddedCluster(nodes=1) as cluster:
        for site in start("uvicorn", cluster.url, tmp_path):
            pair = site.manager.login(subject, claims={"scope": "chat", "role": "guest"})
            with (
                site.open("/in-outage", **by_token(pair)) as closing,
                site.open("/echo", **by_token(pair)) as staying,
            ):
                assert asked(closing, "a") == asked(staying, "a") == "a guest"
                cluster.stop()
                assert site.closed(closing) == (4503, "store_unavailable")
                assert asked(staying, "b") == "b guest"
                assert site.refused("/echo", **by_token(pair)) == 503
