"""The locks of the cache and of the journal are never taken in both orders."""

import threading

from clusterpass.protocol.keyspace import Keyspace

from .driven_flows import life


def test_a_lost_connection_does_not_wait_for_who_learns_an_entry() -> None:
    """Who learns one holds the lock of the journal, and waits for that of the cache then."""
    memory = life().flows.memory
    key = Keyspace().sessions("alice")
    near_is_held, is_learning = threading.Event(), threading.Event()

    def lose() -> None:
        with memory.near._lock:
            near_is_held.set()
            is_learning.wait(10)
            memory.near.lost("node")

    def learn() -> None:
        near_is_held.wait(10)
        with memory.journal._lock:
            is_learning.set()
            memory.near.changed(key)

    memory.near._lock = threading.RLock()
    memory.journal._lock = threading.RLock()
    threads = [threading.Thread(target=each, daemon=True) for each in (lose, learn)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert not any(each.is_alive() for each in threads), "each waits for the other"
