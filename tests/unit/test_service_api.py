"""The service API over a scripted session manager: calls, arguments and responses."""

from typing import Any

import pytest

from clusterpass import (
    Applied,
    Ban,
    HistoryEntry,
    OneTimeLink,
    OnlineCount,
    OnlinePage,
    RevokedBefore,
    SessionRevoked,
)
from clusterpass.model.audit import AuditPage

from .service_scene import ADDRESS, ALICE, ENDED, PAIR, ROOT, Served

ID = "x" * 22
LINK = OneTimeLink("carol", "cpl_secret", 9000)
BAN = Ban(scope="comments", level=2, until=None, reason="spam", banned_at=5)
ENTRY = HistoryEntry(kind="login", at=7, count=1, session_id=ID, address="10.0.0.1", text="phone")
ANSWERS: dict[str, Any] = {
    "revoke": ENDED,
    "revoke_all": ENDED,
    "revoke_before": RevokedBefore(77, durable=True),
    "shorten": ALICE,
    "sessions": [ALICE, ROOT],
    "history": [ENTRY],
    "impersonate": PAIR,
    "elevate": PAIR,
    "refresh": PAIR,
    "erase": ENDED,
    "online.page": OnlinePage((ALICE,), "next"),
    "online.count": OnlineCount(3, 4),
    "bans.list": [BAN],
    "bans.add": ENDED,
    "bans.lift": Applied(1, durable=True),
    "claims.get": {"plan": "pro"},
    "claims.set": Applied(2, durable=True),
    "audit.page": AuditPage((), "later"),
    "authenticator.login": PAIR,
}
OF_USERS: dict[str, Any] = {
    "users.subject_of": "carol",
    "users.find": None,
    "users.name_of": "carol",
    "users.export": {"subject": "carol"},
    "users.delete": ENDED,
    "users.make_link": LINK,
    "users.invite": LINK,
    "users.change_password": PAIR,
    "users.user_of_link": "carol",
}
TOKENS = {"access_token": "new access", "refresh_token": "new refresh", "expires_in": 900}
REVOKED = {"revoked": 2, "durable": True, "journaled": False}
NAMED = ("users.subject_of", "c", {})
AS_ADMINISTRATOR: list[Any] = [
    (
        "GET /admin/online?cursor=c&limit=7",
        None,
        [("online.page", "c", {"limit": 7})],
        {"next_cursor": "next"},
    ),
    ("GET /admin/online", None, [("online.page", None, {"limit": 50})], {"next_cursor": "next"}),
    (
        "GET /admin/online/count",
        None,
        [("online.count", {})],
        {"subjects": 3, "sessions": 4},
    ),
    ("GET /admin/sessions?subject=c", None, [NAMED, ("sessions", "carol", {})], {}),
    (
        f"DELETE /admin/sessions?subject=c&session_id={ID}&reason=why",
        None,
        [NAMED, ("revoke", "carol", ID, {"reason": "why", "operation_id": None})],
        REVOKED,
    ),
    (
        "DELETE /admin/sessions?subject=c&device_type=phone&reason=why",
        None,
        [
            NAMED,
            (
                "revoke_all",
                "carol",
                {"device_type": "phone", "reason": "why", "operation_id": None},
            ),
        ],
        REVOKED,
    ),
    ("GET /admin/history?subject=c", None, [NAMED, ("history", "carol", {})], {}),
    (
        "GET /admin/bans?subject=c",
        None,
        [NAMED, ("bans.list", "carol", {})],
        {
            "bans": [
                {"scope": "comments", "level": 2, "until": None, "reason": "spam", "banned_at": 5}
            ]
        },
    ),
    (
        "POST /admin/bans",
        {"subject": "c", "reason": "spam", "for_seconds": 60, "scope": "comments", "level": 3},
        [
            NAMED,
            (
                "bans.add",
                "carol",
                {
                    "reason": "spam",
                    "for_seconds": 60,
                    "scope": "comments",
                    "level": 3,
                    "operation_id": None,
                },
            ),
            ("users.find", "carol", {}),
        ],
        {"revoked": 2, "durable": True, "known": False},
    ),
    (
        "DELETE /admin/bans?subject=c&scope=comments",
        None,
        [NAMED, ("bans.lift", "carol", {"scope": "comments"})],
        {"durable": True},
    ),
    (
        "GET /admin/claims?subject=c",
        None,
        [NAMED, ("claims.get", "carol", {})],
        {"claims": {"plan": "pro"}},
    ),
    (
        "PUT /admin/claims",
        {"subject": "c", "claims": {"plan": "pro"}},
        [NAMED, ("claims.set", "carol", {"plan": "pro"}, {})],
        {"sessions": 2, "durable": True},
    ),
    (
        "POST /admin/impersonate",
        {"subject": "c", "reason": "support", "for_seconds": 600},
        [NAMED, ("impersonate", ROOT, "carol", {"reason": "support", "for_seconds": 600})],
        TOKENS,
    ),
    (
        "POST /admin/revoke-before",
        {"time": 77},
        [("revoke_before", 77, {})],
        {"time": 77, "durable": True},
    ),
    (
        "GET /admin/export?subject=c",
        None,
        [NAMED, ("users.export", "carol", {})],
        {"subject": "carol"},
    ),
    ("POST /admin/erase", {"subject": "c"}, [NAMED, ("erase", "carol", {})], REVOKED),
    (
        "DELETE /admin/users?subject=c&erase=true",
        None,
        [("users.name_of", "c", {}), ("users.delete", "c", {"erase": True})],
        REVOKED,
    ),
    (
        "DELETE /admin/users?subject=c",
        None,
        [("users.name_of", "c", {}), ("users.delete", "c", {"erase": False})],
        REVOKED,
    ),
    (
        "POST /admin/reset-link",
        {"subject": "c"},
        [("users.make_link", "c", {"for_seconds": 111})],
        {
            "subject": "carol",
            "token": "cpl_secret",
            "link": "https://auth.example/page/link?token=cpl_secret",
            "sent_to": None,
            "expires_at": 9000,
        },
    ),
    (
        "POST /admin/invite",
        {"subject": "c", "send_to": "c@example.org"},
        [("users.invite", "c", {"for_seconds": 222})],
        {
            "subject": "carol",
            "token": None,
            "link": None,
            "sent_to": "c@example.org",
            "expires_at": 9000,
        },
    ),
    (
        "GET /admin/audit",
        None,
        [("audit.page", {"after": None, "before": "", "limit": 100})],
        {"next_cursor": "later"},
    ),
    (
        "GET /admin/audit?after=1-2&limit=5",
        None,
        [("audit.page", {"after": "1-2", "before": None, "limit": 5})],
        {"next_cursor": "later"},
    ),
]
CHANGES = [(call, body) for call, body, *_ in AS_ADMINISTRATOR if not call.startswith("GET")]
LIVES = {"reset_link_lifetime": 111, "invitation_lifetime": 222}


@pytest.fixture(scope="module")
def service() -> Served:
    return Served(ANSWERS, OF_USERS, **LIVES)


async def call(
    service: Served, named: str, body: Any = None, token: str | None = None, **more: Any
) -> Any:
    service.sessions.asked.clear()
    method, target = named.split(" ", 1)
    return await service(method, target, body, token=token, **more)


@pytest.mark.parametrize(("named", "body", "asked", "told"), AS_ADMINISTRATOR)
async def test_what_an_administrator_does(
    service: Served, named: str, body: Any, asked: list[Any], told: dict[str, Any]
) -> None:
    answer = await call(service, named, body, "root")
    assert answer.status_code == 200, answer.text
    assert told.items() <= answer.json().items()
    verified = [each[2] for each in service.sessions.asked if each[0] == "verify"]
    fresh = {"verification": "strict"}
    recent = [{"max_auth_age": service.settings.administration_max_age, **fresh}]
    assert verified == [fresh, *([] if named.startswith("GET") else recent)]
    assert service.asked() == asked
    line = service.lines()[-1]
    assert (line["status"], line["subject"]) == (200, "root")
    if not named.startswith("GET") and "before" not in named:
        assert line["target"] in {"c", "carol"}


async def test_a_refusal_says_how_to_ask(service: Served) -> None:
    """What RFC 9110 wants beside a 401 and a 405."""
    nobody = await service("GET", "/sessions")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    wrong = await service("PUT", "/sessions", {})
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "DELETE, GET, HEAD")


@pytest.mark.parametrize(("named", "body"), CHANGES)
async def test_who_may_not_administer_changes_nothing(
    service: Served, named: str, body: Any
) -> None:
    for token, status, error in (
        ("alice", 403, "administrator_required"),
        ("old", 401, "step_up_required"),
        ("over", 401, "token_expired"),
    ):
        answer = await call(service, named, body, token)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert [each for each in service.asked() if each[0] != "audit.note"] == []


async def test_a_caller_s_own_acts(service: Served) -> None:
    listed = (await call(service, "GET /sessions", token="alice")).json()["sessions"]
    assert [(each["subject"], each["current"]) for each in listed] == [
        ("alice", True),
        ("root", False),
    ]
    assert service.asked() == [("sessions", "alice", {})]
    ended = await call(service, "DELETE /sessions?device_type=phone", token="alice")
    assert ended.json() == REVOKED
    options = {"keep": ALICE.session_id, "device_type": "phone", "operation_id": None}
    assert service.asked() == [("revoke_all", "alice", options)]
    assert (await call(service, f"DELETE /sessions/{ID}", token="alice")).status_code == 204
    assert service.asked() == [("revoke", "alice", ID, {"operation_id": None})]
    limits = {"lifetime": 60, "idle_lifetime": 30}
    shortened = await call(service, f"PATCH /sessions/{ID}", limits, "alice")
    assert (shortened.json()["session_id"], shortened.json()["current"]) == ("a" * 22, False)
    assert service.asked() == [("shorten", "alice", ID, limits)]
    own = await call(service, f"PATCH /sessions/{ALICE.session_id}", {"lifetime": 60}, "alice")
    assert own.json()["current"] is True
    history = (await call(service, "GET /history", token="alice")).json()["entries"]
    assert service.asked() == [("history", "alice", {})]
    assert history == [
        {
            "kind": "login",
            "at": 7,
            "count": 1,
            "session_id": ID,
            "address": "10.0.0.1",
            "text": "phone",
            "by": ENTRY.by,
        }
    ]
    assert (await call(service, "GET /hello", token="alice")).text == "Hello, alice!"


@pytest.mark.parametrize(("which", "status"), [(ID, 404), (ALICE.session_id, 401)])
async def test_another_session_that_has_ended_is_not_found(which: str, status: int) -> None:
    error = SessionRevoked(reason="revoked", ended_at=1)
    service = Served({**ANSWERS, "shorten": error}, OF_USERS)
    answer = await call(service, f"PATCH /sessions/{which}", {"lifetime": 60}, "alice")
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("named", "body"),
    [
        ("DELETE /sessions", None),
        (f"DELETE /sessions/{ID}", None),
        ("DELETE /admin/sessions?subject=c", None),
        ("POST /admin/bans", {"subject": "c"}),
        ("POST /logout", None),
    ],
)
async def test_a_key_makes_an_operation_of_the_call_and_its_caller(
    service: Served, named: str, body: Any
) -> None:
    async def operation(key: str) -> Any:
        await call(service, named, body, "root", headers={"idempotency-key": key})
        return next(e[-1]["operation_id"] for e in service.asked() if "operation_id" in e[-1])

    first, again, other = await operation("1"), await operation("1"), await operation("2")
    assert first == again != other


@pytest.mark.parametrize("has_hot_paths", [True, False])
async def test_tokens(has_hot_paths: bool) -> None:
    """The hot paths and the framework behind them do the same."""
    service = Served(ANSWERS, OF_USERS, has_hot_paths=has_hot_paths, step_up_seconds=77)
    about = {"device": "d", "device_type": "phone", "remember": True, "replace": ID}
    body = {"username": "alice", "password": "pw", **about}
    answer = await call(service, "POST /login", body, headers={"x-device-token": "k"})
    assert (answer.status_code, TOKENS.items() <= answer.json().items()) == (200, True)
    assert answer.headers["x-device-token"] == "alice k of alice"
    options = {**about, "address": ADDRESS, "known": "k of alice"}
    assert service.asked() == [("authenticator.login", "alice", "pw", options)]
    assert service.lines()[-1]["subject"] == "alice"

    answer = await call(service, "POST /step-up", {"password": "pw"}, "alice")
    assert TOKENS.items() <= answer.json().items()
    about = {"address": ADDRESS, "known": ALICE.session_id}
    lasting = {"for_seconds": 77, "amr": ("pwd",), "address": ADDRESS}
    assert service.sessions.asked[0] == ("verify", "alice", {"verification": "strict"})
    assert service.asked() == [
        ("authenticator.confirm", "alice", "pw", about),
        ("elevate", ALICE, "1", lasting),
    ]

    answer = await call(service, "POST /refresh", {"refresh_token": "old refresh"})
    assert TOKENS.items() <= answer.json().items()
    assert service.asked() == [("refresh", "old refresh", {"address": ADDRESS})]
    assert service.lines()[-1]["subject"] == "alice"

    answer = await call(service, "POST /logout", token="over")
    assert answer.status_code == 204
    assert "clear-site-data" in answer.headers
    assert service.asked() == [("logout", "over", {"address": ADDRESS, "operation_id": None})]

    for path in ("/healthz", "/readyz"):
        assert (await call(service, f"GET {path}")).json() == {"status": "ok"}
    assert service.asked() == [("ping", {})]


async def test_passwords(service: Served) -> None:
    body = {"current_password": "old", "new_password": "new", "end_others": False}
    answer = await call(service, "POST /password", body, "alice")
    assert TOKENS.items() <= answer.json().items()
    lasting = {"for_seconds": service.settings.step_up_seconds, "end_others": False}
    options = {"address": ADDRESS, **lasting}
    assert service.asked() == [("users.change_password", ALICE, "old", "new", options)]
    link = {"token": "cpl_x", "new_password": "new"}
    assert (await call(service, "POST /password/link", link)).status_code == 204
    assert service.asked() == [
        ("users.user_of_link", "cpl_x", {}),
        ("users.use_link", "cpl_x", "new", {}),
    ]
    assert service.lines()[-1]["subject"] == "carol"


@pytest.mark.parametrize("has_hot_paths", [True, False])
async def test_a_verify_hands_on_each_condition(has_hot_paths: bool) -> None:
    service = Served(ANSWERS, OF_USERS, has_hot_paths=has_hot_paths)
    query = "level=1&max_auth_age=9&scope=orders:read&verification=strict&outage_grace=5"
    answer = await call(service, f"GET /verify?{query}", token="alice")
    assert (answer.status_code, answer.json()["session_id"]) == (200, ALICE.session_id)
    assert answer.headers["x-auth-subject"] == "alice"
    options = {"level": "1", "max_auth_age": 9, "verification": "strict", "outage_grace": 5}
    assert service.sessions.asked == [("verify", "alice", options)]
    none = dict.fromkeys(options)
    for named, status in (
        ("GET /verify", 200),
        ("GET /verify?scope=orders:read&scope=billing", 403),
        ("GET /verify?not_banned=comments", 200),
        ("GET /verify?ban_level=2", 400),
    ):
        answer = await call(service, named, token="alice")
        assert answer.status_code == status, named
        strict = {**none, "verification": "strict"}
        expected = {200: [none], 403: [none, strict], 400: []}[status]
        assert [each[2] for each in service.sessions.asked] == expected
    await call(
        service, "GET /verify?outage_grace=5", token="alice", headers={"x-forwarded-method": "POST"}
    )
    assert service.sessions.asked == [("verify", "alice", {**none, "outage_grace": 0})]


async def test_the_bans_of_names_that_were_taken_as_they_were_spelt() -> None:
    service = Served({**ANSWERS, "bans.lift": Applied(0, durable=True)}, OF_USERS)
    await call(service, "DELETE /admin/bans?subject=c", None, "root")
    assert service.asked() == [
        NAMED,
        ("bans.lift", "carol", {"scope": ""}),
        ("bans.lift", "c", {"scope": ""}),
    ]
