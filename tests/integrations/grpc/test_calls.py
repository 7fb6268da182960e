"""Real gRPC servers, on threads and on an event loop: calls of all kinds of methods."""

import contextlib

import grpc
import grpc.aio
import pytest

from ...ports import free_port
from .servers import (
    ERRORS,
    HANGING,
    SERVERS,
    Running,
    bearer,
    call,
    comes_true,
    refused,
    stream,
    trailing,
)


def test_all_kinds_of_methods_know_their_session(running, cp_sessions) -> None:
    alice, bob = (bearer(cp_sessions.login(each).access_token) for each in ("alice", "bob"))
    assert call(running, "List", *alice) == b"alice"
    assert call(running, "List", *bob) == b"bob"
    assert list(stream(running, "Count", *alice)) == [b"0 alice", b"1 alice", b"2 alice"]
    collect = running.channel.stream_unary("/shop.Orders/Collect")
    assert collect(iter([b"a", b"b"]), metadata=bob, timeout=HANGING) == b"a+b+bob"
    chat = running.channel.stream_stream("/shop.Orders/Chat")
    assert list(chat(iter([b"a", b"b"]), metadata=alice, timeout=HANGING)) == [
        b"a alice",
        b"b alice",
    ]
    assert comes_true(lambda: running.watched == 0), "a stream that is over is not watched"


@pytest.mark.parametrize(
    ("metadata", "status", "error"),
    [
        ((), "UNAUTHENTICATED", "token_missing"),
        ((("authorization", "Basic x"),), "UNAUTHENTICATED", "token_missing"),
        ((("authorization", "Bearer "),), "UNAUTHENTICATED", "token_malformed"),
        (bearer("x.y.z"), "UNAUTHENTICATED", "token_malformed"),
        ((*bearer("a"), *bearer("b")), "INVALID_ARGUMENT", "invalid_input"),
    ],
)
def test_every_kind_of_method_refuses_a_call_without_a_token_of_use(
    running, metadata, status, error
) -> None:
    channel, options = running.channel, {"metadata": metadata, "timeout": HANGING}
    calls = [
        lambda: channel.unary_unary("/shop.Orders/List")(b"-", **options),
        lambda: list(channel.unary_stream("/shop.Orders/Count")(b"-", **options)),
        lambda: channel.stream_unary("/shop.Orders/Collect")(iter([b"-"]), **options),
        lambda: list(channel.stream_stream("/shop.Orders/Chat")(iter([b"-"]), **options)),
    ]
    for each in calls:
        refusal = refused(each)
        assert refusal.code().name == status
        found = trailing(refusal)
        assert found["clusterpass-error"] == error
        assert found.get("www-authenticate", "").startswith("Bearer") == (status[0] == "U")


def test_a_session_that_has_ended_is_refused_with_the_reason(running, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    cp_sessions.revoke("alice", pair.session_id, reason="stolen")
    refusal = refused(lambda: call(running, "List", *bearer(pair.access_token)))
    assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "stolen" in refusal.details()
    found = trailing(refusal)
    assert (found["clusterpass-error"], found["clusterpass-reason"]) == (
        "session_revoked",
        "revoked",
    )
    assert 'error="invalid_token"' in found["www-authenticate"]


def test_a_token_that_has_expired_is_refused(running, cp_sessions, cp_clock) -> None:
    metadata = bearer(cp_sessions.login("alice").access_token)
    assert call(running, "List", *metadata) == b"alice"
    cp_clock.advance(minutes=16)
    assert trailing(refused(lambda: call(running, "List", *metadata)))["clusterpass-error"] == (
        "token_expired"
    )


def test_what_a_method_requires(running, cp_sessions, cp_clock) -> None:
    pair = cp_sessions.login("alice", claims={"scope": "orders:read"})
    metadata = bearer(pair.access_token)
    no_scope = refused(lambda: call(running, "Write", *metadata))
    assert no_scope.code() is grpc.StatusCode.PERMISSION_DENIED
    assert 'scope="orders:write"' in trailing(no_scope)["www-authenticate"]
    cp_sessions.claims.set("alice", {"scope": "orders:*"})
    assert comes_true(lambda: granted(running, "Write", metadata)), "live claims count"

    step_up = refused(lambda: call(running, "Pay", *metadata))
    assert step_up.code() is grpc.StatusCode.UNAUTHENTICATED
    assert trailing(step_up)["clusterpass-error"] == "step_up_required"
    assert 'acr_values="mfa"' in trailing(step_up)["www-authenticate"]
    stronger = cp_sessions.login("alice", acr="mfa")
    assert call(running, "Pay", *bearer(stronger.access_token)) == b"alice"
    cp_clock.advance(minutes=6)
    old = refused(lambda: call(running, "Pay", *bearer(stronger.access_token)))
    assert "max_age=300" in trailing(old)["www-authenticate"]

    assert call(running, "Post", *metadata) == b"alice"
    cp_sessions.bans.add("alice", scope="posting")
    banned = refused(lambda: call(running, "Post", *metadata))
    assert banned.code() is grpc.StatusCode.PERMISSION_DENIED
    assert trailing(banned)["clusterpass-error"] == "subject_banned"


def granted(running: Running, method: str, metadata: tuple[tuple[str, str], ...]) -> bool:
    with contextlib.suppress(grpc.RpcError):
        call(running, method, *metadata)
        return True
    return False


def test_a_public_method_has_no_session(running, cp_sessions) -> None:
    """The method runs, and asks for a session that it does not have, even with a token."""
    metadata = bearer(cp_sessions.login("alice").access_token)
    assert call(running, "List", *metadata) == b"alice"
    for _ in range(10):  # whichever thread of the pool answers
        refusal = refused(lambda: call(running, "Hello", *metadata))
        assert trailing(refusal)["clusterpass-error"] == "token_missing"
    refusal = refused(lambda: list(stream(running, "Greetings")))
    assert trailing(refusal)["clusterpass-error"] == "token_missing"


def test_a_method_that_does_not_exist_is_unimplemented(running) -> None:
    assert refused(lambda: call(running, "Nothing")).code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["shop.Orders", "shop.Public"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_error_in_a_handler_becomes_a_status(running, cp_sessions, service, is_stream) -> None:
    metadata = bearer(cp_sessions.login("alice").access_token)
    expected = {
        "not_found": "NOT_FOUND",
        "exists": "ALREADY_EXISTS",
        "overtaken": "ABORTED",
        "bans": "RESOURCE_EXHAUSTED",
        "sessions": "RESOURCE_EXHAUSTED",
        "attempts": "RESOURCE_EXHAUSTED",
        "failed": "INTERNAL",
        "password": "UNAUTHENTICATED",
        "café": "PERMISSION_DENIED",
    }
    assert expected.keys() == ERRORS.keys()
    for name, status in expected.items():
        if is_stream:
            found = stream(running, f"/{service}/FailLate", *metadata, request=name.encode())
            assert next(found) == b"first"
            refusal = refused(lambda: next(found))  # noqa: B023 - called at once
        else:
            method, request = f"/{service}/Fail", name.encode()
            refusal = refused(lambda: call(running, method, *metadata, request=request))  # noqa: B023
        assert refusal.code().name == status, name
        assert trailing(refusal)["clusterpass-error"] == ERRORS[name].code
        assert "only the log" not in refusal.details()
        if name == "attempts":
            assert trailing(refusal)["retry-after"] == "7"
        if not is_stream:
            assert trailing(refusal)["of-handler"] == "kept"


def test_a_handler_may_abort_by_itself(running, cp_sessions) -> None:
    metadata = bearer(cp_sessions.login("alice").access_token)
    refusal = refused(lambda: call(running, "Abort", *metadata))
    assert (refusal.code().name, refusal.details()) == ("OUT_OF_RANGE", "of the handler")
    found = stream(running, "AbortLate", *metadata)
    assert next(found) == b"first"
    refusal = refused(lambda: next(found))
    assert (refusal.code().name, refusal.details()) == ("OUT_OF_RANGE", "of the handler")


@pytest.mark.parametrize("server", SERVERS)
def test_an_outage_is_no_failure_to_authenticate(server, cp_sessions, cp_config) -> None:
    metadata = bearer(cp_sessions.login("alice").access_token)
    nowhere = f"redis://127.0.0.1:{free_port()}?namespace=cp-test-nowhere"
    with SERVERS[server](nowhere, cp_config) as running:
        refusal = refused(lambda: call(running, "List", *metadata))
        assert refusal.code() is grpc.StatusCode.UNAVAILABLE
        assert trailing(refusal)["clusterpass-error"] == "store_unavailable"
        assert "www-authenticate" not in trailing(refusal)
        assert trailing(refusal)["retry-after"]
