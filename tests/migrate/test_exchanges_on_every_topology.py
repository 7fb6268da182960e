"""Old tokens on one server, behind Sentinel and on clusters, also while a primary dies."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clusterpass import Config, InvalidRefreshToken, SessionRevoked, StoreUnavailable, TokenPair
from clusterpass.migrate import MigratingSessionManager
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.stored import new_namespace
from tests.cluster.topologies import HANGING, SHAPES, SURVIVING, Shape, at_last
from tests.migrate.facade import Async
from tests.migrate.old_apps import DAY, OldApp, pyjwt

pytestmark = pytest.mark.timeout(240)
FACES: dict[str, Any] = {"sync": MigratingSessionManager.from_url, "async": Async}
face = pytest.mark.parametrize("face", FACES)


@pytest.fixture(scope="module", params=SHAPES)
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shape]:
    """A store that stays whole."""
    with SHAPES[request.param](tmp_path_factory.mktemp("store")) as shape:
        yield shape


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@contextlib.contextmanager
def tabs_of(
    shape: Shape, face: str, namespace: str, config: Config, app: OldApp
) -> Iterator[tuple[Any, Any]]:
    """Two processes, which know nothing of each other."""
    config = replace(config, generation_lifetime=30 * DAY)
    url = f"{shape.url}?namespace={namespace}"
    with (
        contextlib.closing(FACES[face](url, config)) as first,
        contextlib.closing(FACES[face](url, config)) as second,
    ):
        for each in (first, second):
            each.accept(app.issuer)
        yield first, second


def outcome_of(tab: Any, token: str) -> TokenPair | Exception:
    try:
        pair: TokenPair = tab.refresh(token)
    except Exception as error:
        return error
    return pair


@face
def test_an_old_token_becomes_one_session(
    whole: Shape, face: str, namespace: str, config: Config
) -> None:
    app = pyjwt()
    with tabs_of(whole, face, namespace, config, app) as tabs:
        assert tabs[0].verify(app.access).subject == "7"
        with ThreadPoolExecutor(8) as pool:
            pairs = list(pool.map(lambda tab: tab.refresh(app.refresh), tabs * 4))
        assert len({pair.refresh_token for pair in pairs}) == 1
        assert len(tabs[0].sessions("7")) == 1
        assert [entry.kind for entry in tabs[1].history("7")] == ["login"]
        tabs[0].migration_reports()
        (report,) = tabs[1].migration_reports()
        assert (report.accepted, report.exchanged, report.refused) == (1, 8, 0)
        assert tabs[1].logout(app.refresh).count == 1
        for tab in tabs:
            with pytest.raises(SessionRevoked):
                tab.verify(pairs[0].access_token)
            with pytest.raises(InvalidRefreshToken):
                tab.refresh(app.refresh)
            assert tab.verify(app.access)
        tabs[0].revoke_all("7")
        with pytest.raises(SessionRevoked):
            tabs[1].verify(app.access)


@face
def test_what_the_store_lost_is_exchanged_again(
    whole: Shape, face: str, namespace: str, config: Config
) -> None:
    """As a failover loses what no replica had: the same session is opened, not a second one."""
    app, key = pyjwt(), Keyspace(namespace).sessions("7")
    with tabs_of(whole, face, namespace, config, app) as tabs:
        first = tabs[0].refresh(app.refresh)
        with whole.client(key) as client:
            assert client.delete(key) == 1
        again = tabs[1].refresh(app.refresh)
        assert again.refresh_token == first.refresh_token
        assert_one_session(tabs, app, [first, again])


@face
def test_a_refresh_that_was_lost_with_its_exchange_is_no_theft(
    whole: Shape, face: str, namespace: str, config: Config
) -> None:
    app, key = pyjwt(), Keyspace(namespace).sessions("7")
    with tabs_of(whole, face, namespace, config, app) as tabs:
        first = tabs[0].refresh(app.refresh)
        second = tabs[0].refresh(first.refresh_token)
        with whole.client(key) as client:
            assert client.delete(key) == 1
        # Without the exchange there is no session; the old token brings it back.
        with pytest.raises(InvalidRefreshToken) as caught:
            tabs[1].refresh(second.refresh_token)
        assert caught.value.reason == "unknown_session"
        again = tabs[1].refresh(app.refresh)
        assert again.refresh_token == first.refresh_token
        third = tabs[0].refresh(second.refresh_token)
        assert tabs[1].refresh(again.refresh_token).refresh_token == second.refresh_token
        assert tabs[1].verify(third.access_token)


@pytest.mark.sampled(6)
@face
@pytest.mark.parametrize("moment", ["before", "at once", "after"])
@pytest.mark.parametrize("name", SURVIVING)
def test_two_tabs_get_one_session_while_the_primary_dies(
    name: str, moment: str, face: str, namespace: str, config: Config, tmp_path: Path
) -> None:
    """``moment``: when the tabs present their token, seen from the death of the primary."""
    app, key = pyjwt(), Keyspace(namespace).sessions("7")
    with (
        SHAPES[name](tmp_path) as shape,
        tabs_of(shape, face, namespace, config, app) as tabs,
        ThreadPoolExecutor(3) as pool,
    ):
        assert tabs[0].sessions("7") == tabs[1].sessions("7") == []  # they know the nodes
        together = threading.Barrier(3 if moment == "at once" else 2)

        def present(tab: Any) -> TokenPair | Exception:
            together.wait(HANGING)
            return outcome_of(tab, app.exchangeable)

        def die() -> None:
            if moment == "at once":
                together.wait(HANGING)
            shape.kill(key)

        if moment == "before":
            die()
        presented = [pool.submit(present, tab) for tab in tabs]
        if moment == "at once":
            die()
        results = [each.result(HANGING) for each in presented]
        if moment == "after":
            die()
        shape.await_successor(key)
        for each in results:
            assert isinstance(each, TokenPair | StoreUnavailable), repr(each)
        retried = at_last(lambda: tabs[1].refresh(app.exchangeable))
        pairs = [each for each in results if isinstance(each, TokenPair)]
        assert_one_session(tabs, app, [*pairs, retried])


def assert_one_session(tabs: tuple[Any, Any], app: OldApp, pairs: list[TokenPair]) -> None:
    """Both tabs are in the same session, whichever answers they got, and go on in it."""
    assert len({pair.refresh_token for pair in pairs}) == 1
    (session,) = at_last(lambda: tabs[0].sessions("7"))
    for tab in tabs:
        for pair in pairs:
            found = at_last(lambda tab=tab, pair=pair: tab.verify(pair.access_token))
            assert found.session_id == session.session_id
    logins = [e for e in at_last(lambda: tabs[1].history("7")) if e.kind == "login"]
    assert len(logins) == 1
    successor = at_last(lambda: tabs[0].refresh(pairs[0].refresh_token))
    for token in (pairs[-1].refresh_token, app.exchangeable):
        late = at_last(lambda token=token: tabs[1].refresh(token))
        assert late.refresh_token == successor.refresh_token
    assert len(at_last(lambda: tabs[1].sessions("7"))) == 1
