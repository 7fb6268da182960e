"""Behind Sentinel: the primary is found, followed, and left once it is replaced."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass import AuthenticationError, Config, SessionManager
from clusterpass.doctor import examine
from clusterpass.embedded import TlsFiles
from clusterpass.model.errors import (
    RevocationPending,
    StoreDenied,
    StoreFailed,
    StoreUnavailable,
)
from tests.cluster.conftest import REDIS_SERVER
from tests.cluster.stored import eventually
from tests.ports import free_port

from .conftest import Opener
from .sentinels import SENTINEL_PASSWORD, SERVICE, Service, service

pytestmark = [pytest.mark.timeout(180), pytest.mark.sampled(1)]
MODES = ("cached", "strict")


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, server_program: str) -> Iterator[Service]:
    """A service that stays as it is; its servers and its Sentinels have passwords."""
    folder = tmp_path_factory.mktemp("standing")
    with service(folder, has_passwords=True, program=server_program) as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path, server_program: str) -> Iterator[Service]:
    """A service of this test alone."""
    with service(tmp_path, program=server_program) as made:
        yield made


def at_last(call: Callable[[], Any]) -> Any:
    """Return the result of ``call``, which is repeated while the store is unavailable."""
    found: list[Any] = []

    def answered() -> bool:
        with contextlib.suppress(StoreUnavailable):
            found.append(call())
        return bool(found)

    eventually(answered, seconds=30)
    return found[0]


def durable_login(manager: Any, subject: str) -> Any:
    """A login that every replica has."""
    return eventually(lambda: (pair := at_last(lambda: manager.login(subject))).durable and pair)


def is_accepted(manager: Any, token: str, mode: str) -> bool:
    try:
        manager.verify(token, verification=mode)
    except AuthenticationError:
        return False
    return True


def refusal(manager: Any, token: str) -> StoreUnavailable:
    """The error by which verifies are refused, once the evidence of before is too old."""
    found: list[StoreUnavailable] = []

    def is_refused() -> bool:
        try:
            manager.verify(token, verification="strict")
        except StoreUnavailable as error:
            found.append(error)
        return bool(found)

    eventually(is_refused)
    return found[0]


def follows(manager: Any, port: int) -> bool:
    """Whether the watch hears of the changes at ``port``, and of no other server's."""
    nodes = manager.stats().nodes
    return [(each.address, each.has_lease) for each in nodes] == [(f"127.0.0.1:{port}", True)]


# Through failovers.


@pytest.mark.parametrize("how", ["kill", "SENTINEL FAILOVER"])
def test_a_successor_is_followed(
    opened: Opener, shop: Service, new_subject: Callable[[], str], how: str
):
    manager, subject = opened(shop.url()), new_subject()
    kept, left = durable_login(manager, subject), durable_login(manager, subject)
    assert manager.logout(left.refresh_token).durable
    former = shop.primary()
    eventually(lambda: manager.verify(kept.access_token) and follows(manager, former.port))
    if how == "kill":
        former.kill()
    else:
        shop.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
    for mode in MODES:  # from the first moment on
        assert at_last(lambda mode=mode: is_accepted(manager, kept.access_token, mode))
        assert not at_last(lambda mode=mode: is_accepted(manager, left.access_token, mode))
    present = shop.await_successor(former)
    for mode in MODES:
        assert at_last(lambda mode=mode: is_accepted(manager, kept.access_token, mode))
        assert not at_last(lambda mode=mode: is_accepted(manager, left.access_token, mode))
    eventually(
        lambda: (
            at_last(lambda: manager.verify(kept.access_token)) and follows(manager, present.port)
        )
    )
    hits = manager.stats().cache.hits
    assert manager.verify(kept.access_token).subject == subject
    assert manager.stats().cache.hits > hits, "served from memory"
    renewed = at_last(lambda: manager.refresh(kept.refresh_token))
    assert eventually(lambda: confirmed(lambda: manager.logout(renewed.refresh_token)))
    fresh = opened(shop.url())
    for mode in MODES:
        assert not is_accepted(fresh, renewed.access_token, mode)


def confirmed(call: Callable[[], Any]) -> bool:
    """Whether a revocation is confirmed at once: a server that has just failed confirms nothing."""
    try:
        return bool(call().durable)
    except RevocationPending:
        return False


@pytest.mark.parametrize("how", ["kill", "SENTINEL FAILOVER"])
def test_what_is_acknowledged_during_a_failover_holds(
    opened: Opener, shop: Service, new_subject: Callable[[], str], how: str
):
    """Each end and each durable login that was told to be one, whichever server it was told by."""
    manager, former = opened(shop.url()), shop.primary()
    durable_login(manager, new_subject())
    is_over = threading.Event()
    ended: list[str] = []
    opened_ones: list[str] = []

    def work() -> None:
        while not is_over.is_set():
            with contextlib.suppress(StoreUnavailable):
                subject = new_subject()
                pair, other = manager.login(subject), manager.login(subject)
                if pair.durable:
                    opened_ones.append(pair.access_token)
                if manager.logout(other.refresh_token).durable:
                    ended.append(other.access_token)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        eventually(lambda: len(ended) > 20)
        before = len(ended)
        if how == "kill":
            former.kill()
        else:
            shop.sentinels[1].ask("SENTINEL", "FAILOVER", SERVICE)
        shop.await_successor(former)
        eventually(lambda: len(ended) > before + 20, seconds=40)
    finally:
        is_over.set()
        worker.join(60)
    fresh = opened(shop.url())
    assert not [each for each in ended if at_last(lambda e=each: is_accepted(fresh, e, "strict"))]
    lost = [
        each for each in opened_ones if not at_last(lambda e=each: is_accepted(fresh, e, "strict"))
    ]
    assert not lost, f"{len(lost)} of {len(opened_ones)}"


@pytest.mark.parametrize("mode", MODES)
def test_a_primary_that_does_not_know_that_it_was_replaced_is_not_believed(
    opened: Opener, shop: Service, config: Config, subject: str, mode: str
):
    """A process that has rested meanwhile asks it, and then the Sentinels."""
    resting, other = opened(shop.url()), opened(shop.url())
    pair = durable_login(resting, subject)
    former = shop.primary()
    assert is_accepted(resting, pair.access_token, mode)
    store: Any = resting.store
    eventually(lambda: store._observer.on_use is not None)  # no heartbeats any more
    former.stop()
    try:
        shop.await_successor(former)
        assert eventually(lambda: confirmed(lambda: other.logout(pair.refresh_token)), seconds=30)
    finally:
        former.go_on()
    with SessionManager.from_url(f"redis://127.0.0.1:{former.port}", config) as astray:
        assert is_accepted(astray, pair.access_token, "strict"), "what the former primary says"
    assert former.is_primary
    assert [str(each) for each in store.slots.primaries()] == [f"127.0.0.1:{former.port}"]
    assert not at_last(lambda: is_accepted(resting, pair.access_token, mode))


def test_who_returns_as_a_replica_has_to_confirm_again(opened: Opener, shop: Service, subject: str):
    manager, former = opened(shop.url()), shop.primary()
    durable_login(manager, subject)
    former.kill()
    shop.await_successor(former)
    eventually(lambda: at_last(lambda: manager.login(subject)).durable, seconds=30)
    shop.restart(former)

    def are_attached() -> bool:
        """On a loaded machine there may be another failover meanwhile."""
        present = shop.primary()
        role = present.ask("ROLE")
        is_primary = role[0] in {b"master", "master"}
        others = {each.port for each in shop.servers if each.port != present.port}
        return is_primary and {int(port) for _, port, _ in role[2]} == others

    eventually(are_attached, seconds=60)
    eventually(lambda: at_last(lambda: manager.login(subject)).durable, seconds=30)
    replicas = [each for each in shop.servers if each.port != shop.primary().port]
    silent = next((each for each in replicas if each.port == former.port), replicas[0])
    silent.stop()
    try:
        assert not at_last(lambda: manager.login(subject)).durable, "it may be promoted next"
    finally:
        silent.go_on()


def test_a_dead_replica_has_to_confirm_nothing_once_sentinels_know(
    opened: Opener, shop: Service, subject: str
):
    manager, primary = opened(shop.url()), shop.primary()
    pair = durable_login(manager, subject)
    dead = next(each for each in shop.servers if each is not primary)
    dead.kill()
    # Until then, who knows whether it is dead or on the other side of a partition?
    assert eventually(lambda: confirmed(lambda: manager.logout(pair.refresh_token)), seconds=30)
    assert manager.login(subject).durable


# Sentinels.


def test_passwords_of_servers_and_of_sentinels(opened: Opener, standing: Service, subject: str):
    manager = opened(standing.url())
    pair = durable_login(manager, subject)
    for mode in MODES:
        assert is_accepted(manager, pair.access_token, mode)
    manager.ping()


@pytest.mark.parametrize("program", [pytest.param(REDIS_SERVER, id="redis")])
def test_servers_and_sentinels_over_tls(
    opened: Opener, tls_files: TlsFiles, tmp_path: Path, subject: str, program: str
):
    with service(tmp_path, has_passwords=True, tls=tls_files, program=program) as made:
        manager = opened(made.url())
        pair = durable_login(manager, subject)
        for mode in MODES:
            assert is_accepted(manager, pair.access_token, mode)
        plain = opened(made.url().replace("rediss", "redis").split("?")[0])
        with pytest.raises(StoreUnavailable):
            plain.login(subject)
        with pytest.raises(StoreDenied) as failure:
            opened(made.url().replace(f"&ca_file={tls_files.ca_file}", "")).login(subject)
        assert failure.value.cause == "tls"


def test_the_rights_of_the_guide_suffice_a_user_of_the_sentinels(
    opened: Opener, standing: Service, subject: str
):
    text = (Path(__file__).parents[2] / "docs" / "howto" / "sentinel.md").read_text("utf-8")
    (rights,) = re.findall(r"^user sessions on (.*)$", text, re.M)
    granted = [part for part in rights.split() if part[0] in "+-"]
    try:
        for each in standing.sentinels:
            each.ask("ACL", "SETUSER", "sessions", "reset", "on", ">pass", *granted)
        options = "sentinel_username=sessions&sentinel_password=pass"
        url = standing.url().replace(standing.options, options)
        manager = opened(url)
        pair = durable_login(manager, subject)
        assert is_accepted(manager, pair.access_token, "strict")
        with pytest.raises(StoreFailed, match=f"they know '{SERVICE}'"):
            opened(url.replace(SERVICE, "the-shed")).login(subject)
        for each in standing.sentinels:
            each.ask("ACL", "SETUSER", "sessions", "-sentinel|master")
        with pytest.raises(StoreDenied) as failure:
            opened(url).login(subject)
        assert failure.value.cause == "rights"
    finally:
        for each in standing.sentinels:
            each.ask("ACL", "DELUSER", "sessions")


def test_one_sentinel_leads_to_the_others(opened: Opener, standing: Service, subject: str):
    assert durable_login(opened(standing.url(standing.sentinels[0])), subject)


def test_addresses_where_nobody_is_are_passed_over(opened: Opener, standing: Service, subject: str):
    url = standing.url().replace(f"/{SERVICE}", f",127.0.0.1:{free_port()}/{SERVICE}")
    manager = opened(url)
    pair = durable_login(manager, subject)
    for _ in range(10):
        assert is_accepted(manager, pair.access_token, "strict")


def test_the_doctor_looks_at_all_servers(standing: Service):
    report = examine(standing.url())
    seen = {each.address.port: each.role for each in report.seen.nodes}
    primary = standing.primary().port
    assert seen == {
        each.port: "primary" if each.port == primary else "replica" for each in standing.servers
    }
    assert report.seen.sentinels == 3
    assert "kind-of-deployment" not in {each.id for each in report.findings}
    with pytest.raises(StoreDenied, match="sentinel_password"):
        examine(standing.url().replace(standing.options, ""))
    with pytest.raises(StoreFailed, match=SERVICE):
        examine(standing.url(service="the-shed"))


@pytest.mark.parametrize("options", ["", "sentinel_password=wrong", "sentinel_username=nobody"])
def test_sentinels_that_do_not_accept_the_password(opened: Opener, standing: Service, options: str):
    standing_at = {f"127.0.0.1:{each.port}" for each in standing.sentinels}
    url = standing.url().replace(standing.options, options)
    with pytest.raises(StoreDenied, match="sentinel_password") as failure:
        opened(url).login("anybody")
    error = failure.value
    assert error.cause == "authentication"
    assert error.node in standing_at
    assert SENTINEL_PASSWORD not in repr(error)


def test_a_service_that_no_sentinel_knows(opened: Opener, standing: Service):
    manager = opened(standing.url(service="the-shed"))
    for call in (lambda: manager.login("anybody"), manager.ping):
        with pytest.raises(StoreFailed, match=rf"'the-shed': they know '{SERVICE}'"):
            call()


def test_a_server_in_place_of_a_sentinel(opened: Opener, shop: Service):
    manager = opened(shop.url(shop.servers[0]))
    with pytest.raises(StoreFailed, match=rf"127.0.0.1:{shop.servers[0].port} is not a Sentinel"):
        manager.login("anybody")


def test_one_dead_sentinel_stops_nothing(opened: Opener, shop: Service, subject: str):
    shop.sentinels[0].kill()
    manager = opened(shop.url())
    pair = durable_login(manager, subject)
    former = shop.primary()
    former.kill()
    shop.await_successor(former)
    for mode in MODES:
        assert at_last(lambda mode=mode: is_accepted(manager, pair.access_token, mode))


def test_without_a_majority_of_the_sentinels_nobody_is_believed(
    opened: Opener, shop: Service, subject: str
):
    """The others may have replaced the primary. Once they are back, all goes on."""
    manager = opened(shop.url())
    pair = durable_login(manager, subject)
    for each in shop.sentinels[1:]:
        each.stop()
    try:
        assert refusal(manager, pair.access_token).cause == "no_quorum"
        eventually(lambda: "no majority of the Sentinels" in manager.stats().refusal)
        with pytest.raises(StoreUnavailable):
            opened(shop.url()).login(subject)
    finally:
        for each in shop.sentinels[1:]:
            each.go_on()

    def is_as_before() -> bool:
        assert at_last(lambda: is_accepted(manager, pair.access_token, "strict"))
        return not manager.stats().refusal

    eventually(is_as_before)


def test_no_sentinel_at_all(opened: Opener, shop: Service, subject: str):
    running = opened(shop.url())
    pair = durable_login(running, subject)
    for each in shop.sentinels:
        each.kill()
    sentinels = {f"127.0.0.1:{each.port}" for each in shop.sentinels}
    error = refusal(running, pair.access_token)
    assert (error.reason, error.cause) == ("doubted", "refused")
    assert error.node in sentinels
    new = opened(shop.url())
    for call in (lambda: new.login(subject), new.ping):
        with pytest.raises(StoreUnavailable) as failure:
            call()
        assert (failure.value.reason, failure.value.cause) == ("connection", "refused")
        assert failure.value.node in sentinels
        assert isinstance(failure.value.__cause__, ConnectionRefusedError)
