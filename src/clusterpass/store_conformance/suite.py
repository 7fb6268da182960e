"""The tests that every store driver passes, on a cluster of their own."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass.embedded import EmbeddedCluster
from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls import directory as directory_calls, session as session_calls
from clusterpass.protocol.script import Answer, Flow, Rest, ScriptCall, Work
from clusterpass.store.protocol import AwaitableStore, Store
from clusterpass.store_conformance.opened import PATIENCE_SECONDS, Opened
from clusterpass.store_conformance.recorder import Recorder


def _eventually(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.01)


def _answer(call: ScriptCall[Any]) -> Flow[Answer[Any]]:
    answer: Answer[Any] = yield call
    return answer


def _reply(call: ScriptCall[Any]) -> Flow[Any]:
    answer: Answer[Any] = yield call
    return answer.reply


class StoreConformance:
    """The tests. A class that derives from this one says how a store is opened."""

    def open_store(self, url: str) -> Store | AwaitableStore:
        """The store at ``url``; a store that is awaited is opened in its event loop."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def store_cluster(cls) -> Iterator[EmbeddedCluster]:
        """Three primaries and three replicas."""
        with EmbeddedCluster(nodes=6, node_timeout=1.0) as running:
            yield running

    @pytest.fixture
    def opened(self, store_cluster: EmbeddedCluster) -> Iterator[Opened]:
        """A store that is open."""
        one = Opened(lambda: self.open_store(store_cluster.url))
        yield one
        one.end()

    def _add(self, opened: Opened, name: str) -> ScriptCall[Any]:
        return directory_calls.add_user(
            opened.store.keyspace, name, password_hash=f"hash of {name}", operation=b"o" * 16
        )

    def _find(self, opened: Opened, name: str) -> ScriptCall[Any]:
        return directory_calls.find_user(opened.store.keyspace, name)

    def test_it_says_what_it_is(self, opened: Opened) -> None:
        """The properties of a store of a cluster."""
        assert 0 < opened.store.deadline <= 300
        assert opened.store.has_epochs is True
        assert opened.store.describe_durability()
        assert opened.store.silent_nodes() == ()
        assert opened.store.missing_commands() == ()

    def test_a_flow_may_rest(self, opened: Opened) -> None:
        """The store waits for that long, and says nothing."""

        def resting() -> Flow[Any]:
            answer = yield Rest(0.05)
            return answer

        began = time.monotonic()
        assert opened.run(resting()) is None
        assert time.monotonic() - began >= 0.05

    def test_a_flow_may_have_something_computed(self, opened: Opened) -> None:
        """The result is sent back; what fails is raised."""

        def computing(compute: Callable[[], Any]) -> Flow[Any]:
            answer = yield Work(compute)
            return answer

        assert opened.run(computing(lambda: 6 * 7)) == 42
        with pytest.raises(ZeroDivisionError):
            opened.run(computing(lambda: 1 // 0))

    def test_a_flow_is_run_to_its_end(self, opened: Opened) -> None:
        """Calls of all shards, with the answers that belong to them."""
        names = [f"flow-{number}" for number in range(50)]

        def whole(name: str) -> Flow[tuple[str, str]]:
            added: Answer[Any] = yield self._add(opened, name)
            found: Answer[Any] = yield self._find(opened, name)
            return added.reply, found.reply.password_hash

        for name in names:
            assert opened.run(whole(name)) == ("OK", f"hash of {name}")
        owners = {opened.store.owner_of(slot) for slot in range(0, 16_384, 100)}
        assert len(owners - {None}) == 3, "each of the three primaries owns slots"
        pattern = opened.store.keyspace.all_users_pattern()
        stored = {opened.store.keyspace.user(name) for name in names}
        assert stored <= opened.names(pattern)

    def test_what_a_flow_raises_is_raised(self, opened: Opened) -> None:
        """An error of the flow's own."""

        def failing() -> Flow[None]:
            yield self._find(opened, "nobody")
            raise LookupError("its own")

        with pytest.raises(LookupError, match="its own"):
            opened.run(failing())

    def test_many_flows_at_once_get_their_own_answers(self, opened: Opened) -> None:
        """No answer of one reaches another."""
        opened.ping()
        names = [f"many-{number}" for number in range(300)]
        opened.run_all([_reply(self._add(opened, name)) for name in names])
        found = opened.run_all([_reply(self._find(opened, name)) for name in names])
        assert [each.password_hash for each in found] == [f"hash of {name}" for name in names]

    def test_a_write_is_confirmed_by_a_replica(self, opened: Opened) -> None:
        """``durable`` and ``is_confirmed`` of writes and of reads."""
        written = opened.run(_answer(self._add(opened, "durable")))
        assert (written.durable, written.is_confirmed) == (True, True)
        assert opened.run(_answer(self._find(opened, "durable"))).durable is False

    def test_a_write_need_not_wait(self, opened: Opened) -> None:
        """``confirm_by("primary")``."""
        opened.store.confirm_by("primary")
        written = opened.run(_answer(self._add(opened, "fast")))
        assert (written.durable, written.is_confirmed) == (False, True)
        assert "primary" in opened.store.describe_durability()

    def test_a_closed_store_is_unavailable(self, opened: Opened) -> None:
        """After ``close``, which may be repeated."""
        opened.ping()
        opened.close()
        opened.close()
        with pytest.raises(StoreUnavailable):
            opened.run(_reply(self._find(opened, "nobody")))
        with pytest.raises(StoreUnavailable):
            opened.ping()

    def test_an_error_of_a_call_is_the_flows_to_handle(self, opened: Opened) -> None:
        """StoreUnavailable is thrown into the flow."""

        def careful() -> Flow[str]:
            try:
                yield self._find(opened, "nobody")
            except StoreUnavailable as error:
                return f"handled {type(error).__name__}"
            return "answered"

        assert opened.run(careful()) == "answered"
        opened.close()
        assert opened.run(careful()) == "handled StoreUnavailable"

    def test_an_observer_hears_what_changes(
        self, opened: Opened, store_cluster: EmbeddedCluster
    ) -> None:
        """Primaries, heartbeats, changes by others and by the store's own writes."""
        recorder = Recorder()
        opened.store.observe(recorder, 0.5)
        opened.run(_reply(self._add(opened, "observed")))
        _eventually(lambda: recorder.refusal or len(recorder.answered) == 3)
        assert not recorder.refusal
        assert len(recorder.primaries) == 3
        assert recorder.primaries <= recorder.pushing
        assert opened.store.keyspace.user("observed") in recorder.own
        key = opened.store.keyspace.sessions("somebody")
        with store_cluster.client(store_cluster.primary_of(key)) as client:
            client.set(key, "changed by others")
        _eventually(lambda: key in recorder.keys)

    def test_an_observer_hears_of_what_was_read(
        self, opened: Opened, store_cluster: EmbeddedCluster
    ) -> None:
        """An announced read is pushed at the next change, and the store says which one was not."""
        recorder = Recorder(wants_all=False)
        opened.store.observe(recorder, 0.5)
        keyspace = opened.store.keyspace
        key = keyspace.sessions("reader")

        def is_announced() -> bool:
            recorder.unannounced.clear()
            call = session_calls.verify(keyspace, "reader", session_id=bytes(16), follows=True)
            opened.run(_reply(call))
            return key not in recorder.unannounced and len(recorder.pushing) >= 3

        _eventually(is_announced)
        recorder.keys.clear()
        with store_cluster.client(store_cluster.primary_of(key)) as client:
            client.hset(key, "field", "changed by others")
        _eventually(lambda: key in recorder.keys)

    def test_a_primary_that_is_replaced_is_found(
        self, opened: Opened, store_cluster: EmbeddedCluster
    ) -> None:
        """A shard's primary dies: calls go on, after the failover, without a change of the URL."""
        key = opened.store.keyspace.user("replaced")
        assert opened.run(_reply(self._add(opened, "replaced"))) == "OK"
        store_cluster.kill(store_cluster.primary_of(key))
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                found = opened.run(_reply(self._find(opened, "replaced")))
                break
            except StoreUnavailable:
                assert time.monotonic() < until, "the shard did not come back in time"
        assert found.password_hash == "hash of replaced"  # noqa: S105 (no secret)
