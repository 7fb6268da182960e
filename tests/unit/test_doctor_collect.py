"""The doctor's queries to one node: answers that are kept, and queries that are refused."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from clusterpass.doctor import collect
from clusterpass.doctor.collect import DoctorOptions, _is_open, _query_node
from clusterpass.doctor.snapshot import NodeSnapshot
from clusterpass.doctor.stored_secrets import SecretSettings
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF
from clusterpass.sessions.memory.known_keys import KIND
from clusterpass.store.acl import ALWAYS
from clusterpass.store.address import Address
from clusterpass.store.complete_location import located
from clusterpass.store.store_url import parse_store_url

from .test_doctor_connection import GREETED, NO_HELLO, Node

MEMBERS = (
    b"0123456789012345678901234567890123456789 10.0.0.1:7000@17000 myself,master - 0 0 1"
    b" connected 0-16383\n"
)
STANDING = b"cluster_state:fail\r\ncluster_size:3\r\n"
INFO = b"# Server\r\nredis_version:7.2.4\r\nrole:master\r\n\r\n# Keyspace\r\n"


class Server(Node):
    """A node that answers some commands, and refuses all others."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[bytes, bytes] = {}

    def answer(self, command: list[bytes]) -> bytes:
        words = b" ".join(command[:2]).upper()
        if words.startswith(b"HELLO"):
            return GREETED
        found = self.known.get(words)
        if found is None:
            return b"-NOPERM this user may not\r\n"
        return b"$%d\r\n%b\r\n" % (len(found), found)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def seen(server: Server, **options: Any) -> NodeSnapshot:
    url = f"redis://127.0.0.1:{server.address.port}?timeout=5&deadline=5"
    location = located(parse_store_url(url))
    return _query_node(location, None, DoctorOptions(**options), server.address)


def test_each_answer_is_kept(server: Server) -> None:
    server.known = {b"CLUSTER NODES": MEMBERS, b"CLUSTER INFO": STANDING, b"INFO": INFO}
    found = seen(server)
    assert found.answered
    assert found.info == {"redis_version": "7.2.4", "role": "master"}
    assert found.cluster_info == {"cluster_state": "fail", "cluster_size": "3"}
    (member,) = found.members
    assert (member.host, member.port, member.slot_count) == ("10.0.0.1", 7000, 16_384)
    assert (found.settings, found.secrets) == (None, None)


def test_the_clock_of_a_node_and_the_way_to_it_are_measured(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = server.answer

    def an_hour_ahead(command: list[bytes]) -> bytes:
        if command != [b"TIME"]:
            return answer(command)
        return b"*2\r\n$10\r\n%d\r\n$1\r\n0\r\n" % (time.time() + 3600)

    monkeypatch.setattr(server, "answer", an_hour_ahead)
    found = seen(server)
    assert found.clock is not None
    assert found.round_trip is not None
    assert 3590 < found.clock.ahead < 3610
    assert found.clock.uncertainty == found.round_trip / 2 > 0


def test_a_node_that_refuses_every_query_has_been_seen_all_the_same(server: Server) -> None:
    found = seen(server)
    assert found.address == server.address
    assert (found.info, found.settings, found.members, found.cluster_info) == (None, None, (), {})


def test_a_node_that_cannot_be_queried_says_why(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.known = {b"INFO": INFO}
    monkeypatch.setattr(server, "answer", lambda _: b"-LOADING in memory\r\n")
    found = seen(server)
    assert (found.answered, found.info) == (False, None)
    assert found.refusal == "the node is loading its data"


@pytest.mark.parametrize("user", ["", "app"])
@pytest.mark.parametrize("is_open", [False, True])
def test_whether_a_node_is_open_is_asked_without_the_password_of_the_url(
    server: Server, monkeypatch: pytest.MonkeyPatch, user: str, is_open: bool
) -> None:
    def answer(command: list[bytes]) -> bytes:
        greets = command[0] == b"HELLO"
        if not is_open and not (greets and b"AUTH" in command):
            return b"-NOAUTH Authentication required.\r\n"
        return GREETED if greets else b"+PONG\r\n"

    monkeypatch.setattr(server, "answer", answer)
    url = f"redis://{user}:secret@127.0.0.1:{server.address.port}?timeout=5&deadline=5"
    assert _is_open(located(parse_store_url(url)), None, server.address) is is_open
    assert b"secret" not in [word for command in server.asked for word in command]


@pytest.mark.parametrize("pushes", [True, False])
def test_the_keys_and_secrets_of_a_node_are_read_in_either_protocol(
    server: Server, monkeypatch: pytest.MonkeyPatch, pushes: bool
) -> None:
    names = [f"{KIND}{kid}".encode() for kid in ("one", "two")]
    held = b"".join(b"$%d\r\n%b\r\n$3\r\n???\r\n" % (len(name), name) for name in names)
    found = (b"%2\r\n" if pushes else b"*4\r\n") + held

    def answer(command: list[bytes]) -> bytes:
        if command[0] == b"HELLO":
            return GREETED if pushes else NO_HELLO
        return found if command[0] == b"HGETALL" else b"-NOPERM this user may not\r\n"

    monkeypatch.setattr(server, "answer", answer)
    secrets = seen(server, secrets=SecretSettings(token_seconds=900)).secrets
    assert secrets is not None
    told = [(each.name, each.is_key) for each in secrets]
    assert told == [("one", True), ("two", True)] * len(SLOTS_WITH_CUTOFF)


@pytest.mark.parametrize("user", [None, "app"])
@pytest.mark.parametrize(("allowed", "beyond"), [(b"", ()), (b"keys *", ("keys",))])
def test_what_a_user_may_do_beyond_what_is_needed(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    user: str | None,
    allowed: bytes,
    beyond: tuple[str, ...],
) -> None:
    def answer(command: list[bytes]) -> bytes:
        if command[0] == b"HELLO":
            return GREETED
        if command[0] == b"ACL":
            return b"+OK\r\n" if b" ".join(command[3:]) == allowed else b"$2\r\nno\r\n"
        if command[0] == b"EVAL":
            told = [b":%d\r\n" % (call == allowed) for call in command[3:]]
            return b"*%d\r\n" % len(told) + b"".join(told)
        return b"-NOPERM this user may not\r\n"

    monkeypatch.setattr(server, "answer", answer)
    found = seen(server, user=user)
    assert found.allowed_beyond == beyond
    assert found.denied is not None
    assert set(ALWAYS) <= set(found.denied)


@pytest.mark.parametrize(("scheme", "is_cluster"), [("redis", False), ("redis+cluster", True)])
def test_what_the_url_asks_for_is_compared_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch, scheme: str, is_cluster: bool
) -> None:
    here = Address("127.0.0.1", 7000)
    monkeypatch.setattr(collect, "_first_answer", lambda *_: (here, (), {}))
    monkeypatch.setattr(collect, "_query_node", lambda *_: NodeSnapshot(address=here))
    location = located(parse_store_url(f"{scheme}://127.0.0.1:7000"))
    secrets = SecretSettings(token_seconds=900)
    found = collect.collect_snapshot(location, DoctorOptions(secrets=secrets))
    assert (found.asked_for_cluster, found.is_cluster) == (is_cluster, False)
    assert found.secret_settings == secrets
    assert [node.address for node in found.nodes] == [here]
