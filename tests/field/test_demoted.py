"""A server behind a name is demoted, and the name leads to its successor, which is followed."""

import socket
from typing import Any

import pytest

from clusterpass import Config, SessionManager
from clusterpass.store.address import Address
from tests.cluster.moving_address import moving_name
from tests.cluster.stored import eventually

from .conftest import Opener
from .servers import Servers

pytestmark = [pytest.mark.timeout(120), pytest.mark.sampled(2)]


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_read_finds_the_successor(
    opened: Opener, started: Servers, subject: str, is_watched: bool
):
    """Nothing is written, so that nothing is refused: the server is asked for its role alone."""
    former, present = started.start(), started.start()
    started.ask(present, "REPLICAOF", "127.0.0.1", str(former))
    with moving_name(Address("127.0.0.1", former)) as name:
        manager: Any = opened(name.url)
        if isinstance(manager, SessionManager):
            manager.store._may_watch = is_watched
        eventually(lambda: started.replicas(former) == 1)
        pair = eventually(lambda: (made := manager.login(subject)).durable and made)
        started.ask(present, "REPLICAOF", "NO", "ONE")
        name.move(Address("127.0.0.1", present))
        started.ask(former, "REPLICAOF", "127.0.0.1", str(present))
        eventually(lambda: started.replicas(present) == 1)
        for _ in range(4):
            assert manager.verify(pair.access_token, verification="strict").subject == subject
        manager.close()


def test_old_connections_are_left_though_the_watch_hears_of_no_other_server(
    started: Servers, config: Config, subject: str, monkeypatch: pytest.MonkeyPatch
):
    """The watch has the address looked up by nobody: it stays with the server of before."""
    former, present = started.start(), started.start()
    real = socket.getaddrinfo
    with SessionManager.from_url(f"redis://127.0.0.1:{former}", config) as manager:
        manager.login(subject)
        store: Any = manager.store
        started.ask(former, "REPLICAOF", "127.0.0.1", str(present))
        eventually(lambda: started.replicas(present) == 1)
        eventually(lambda: store._observer.doubts(Address("127.0.0.1", former), age=0.0))

        def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            return real(host, present if port == former else port, *args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        for _ in range(3):
            assert manager.login(subject)
