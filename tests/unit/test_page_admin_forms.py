"""Forms of administrators: the calls that they make, refused values, links and pages."""

from typing import Any

import pytest

from .page_form_scene import ABOUT_C, ANSWERS, NAMED, USERS, cookies_of, notice, sent
from .service_scene import ADDRESS, ROOT, SESSIONS, Served
from .test_service_api import ID, LINK


@pytest.fixture(scope="module")
def service() -> Served:
    return Served(ANSWERS, USERS, reset_link_lifetime=111, invitation_lifetime=222)


@pytest.fixture(autouse=True)
def afresh(service: Served) -> None:
    service.sessions.asked.clear()


OF_ADMINISTRATORS: list[Any] = [
    (
        "revoke",
        {"session_id": ID, "reason": " why "},
        [NAMED, ("revoke", "carol", ID, {"reason": "why"})],
        "ended",
        ABOUT_C,
    ),
    (
        "revoke-all",
        {"reason": "why"},
        [NAMED, ("revoke_all", "carol", {"reason": "why"})],
        "all-2",
        ABOUT_C,
    ),
    (
        "ban",
        {"scope": " comments ", "reason": "spam", "duration": "day"},
        [
            NAMED,
            ("bans.add", "carol", {"reason": "spam", "for_seconds": 86_400, "scope": "comments"}),
        ],
        "banned",
        ABOUT_C,
    ),
    (
        "ban",
        {"reason": "spam", "duration": "good"},
        [NAMED, ("bans.add", "carol", {"reason": "spam", "for_seconds": None, "scope": ""})],
        "banned",
        ABOUT_C,
    ),
    (
        "lift",
        {"scope": "comments"},
        [NAMED, ("bans.lift", "carol", {"scope": "comments"})],
        "lifted",
        ABOUT_C,
    ),
    (
        "impersonate",
        {"minutes": "15", "reason": "support"},
        [NAMED, ("impersonate", ROOT, "carol", {"reason": "support", "for_seconds": 900})],
        "",
        "/",
    ),
    ("erase", {"sure": "yes"}, [NAMED, ("erase", "carol", {})], "erased", ABOUT_C),
    (
        "delete",
        {"sure": "yes", "erase": "yes"},
        [("users.name_of", "c", {}), ("users.delete", "c", {"erase": True})],
        "deleted",
        "/page/subject?name=c",
    ),
]


@pytest.mark.parametrize(("act", "form", "asked", "code", "to"), OF_ADMINISTRATORS)
async def test_what_an_administrator_does_on_the_page(
    service: Served, act: str, form: Any, asked: list[Any], code: str, to: str
) -> None:
    form = {**form, "subject": "c"}
    answer = await sent(service, f"/page/subject/{act}", form)
    assert (answer.status_code, answer.headers["location"]) == (303, to)
    assert notice(answer, service) == code
    verified = [each[2] for each in service.sessions.asked if each[0] == "verify"]
    recent = service.settings.administration_max_age
    assert verified[-1] == {"max_auth_age": recent, "verification": "strict"}
    assert service.asked() == asked

    # Without a recent login the password is asked for, and the fields travel along.
    page = await sent(service, f"/page/subject/{act}", form, "old")
    assert page.status_code == 200
    assert service.asked() == []
    for name, value in form.items():
        assert f'name="{name}" value="{value}"' in page.text
    assert f'name="act" value="{act}"' in page.text
    confirmed = await sent(service, "/page/confirm", {**form, "act": act, "password": "pw"}, "old")
    assert (confirmed.status_code, confirmed.headers["location"]) == (303, to)
    confirming, elevating, *done = service.asked()
    known = {"address": ADDRESS, "known": SESSIONS["old"].session_id}
    assert confirming == ("authenticator.confirm", "root", "pw", known)
    lasting = service.settings.step_up_seconds
    options = {"for_seconds": lasting, "amr": ("pwd",), "address": ADDRESS}
    assert elevating == ("elevate", SESSIONS["old"], "1", options)
    assert [each[0] for each in done] == [each[0] for each in asked]
    assert cookies_of(confirmed)[service.gate.settings.cookies.access.name] == "new access"

    # Nobody else may, whatever the form says.
    for token in ("alice", None, "over"):
        refused = await sent(service, f"/page/subject/{act}", form, token)
        assert refused.status_code == (404 if token == "alice" else 303)
        assert [e for e in service.asked() if e[0] not in {"audit.note", "refresh"}] == []
        confirming = {**form, "act": act, "password": "pw"}
        refused = await sent(service, "/page/confirm", confirming, token)
        assert refused.status_code == (404 if token == "alice" else 303)
        assert [e for e in service.asked() if e[0] not in {"audit.note", "refresh"}] == []
    forged = await sent(service, f"/page/subject/{act}", {**form, "form_token": "x"})
    assert forged.status_code == 403
    assert service.asked() == []


@pytest.mark.parametrize(
    ("act", "form", "status"),
    [
        ("ban", {"duration": "never"}, 400),
        ("ban", {"duration": "day", "subject": "me"}, 400),
        ("impersonate", {"minutes": "0"}, 400),
        ("impersonate", {"minutes": "61"}, 400),
        ("impersonate", {"minutes": "x"}, 400),
        ("erase", {}, 400),
        ("delete", {}, 400),
        ("reset-link", {"send_to": "nowhere"}, 400),
    ],
)
async def test_a_form_with_a_value_that_cannot_be_changes_nothing(
    act: str, form: Any, status: int
) -> None:
    service = Served(ANSWERS, {**USERS, "users.subject_of": "root"})
    answer = await sent(service, f"/page/subject/{act}", {"subject": "c", **form})
    assert answer.status_code == status
    assert {each[0] for each in service.asked()} <= {"users.subject_of"}


@pytest.mark.parametrize(
    ("act", "verb", "seconds"), [("reset-link", "make_link", 111), ("invite", "invite", 222)]
)
async def test_a_link_is_shown_or_sent(service: Served, act: str, verb: str, seconds: int) -> None:
    shown = await sent(service, f"/page/subject/{act}", {"subject": "c"})
    assert service.asked() == [(f"users.{verb}", "c", {"for_seconds": seconds})]
    assert "https://auth.example/page/link?token=cpl_secret" in shown.text
    assert ABOUT_C in shown.text
    service.sent.clear()
    form = {"subject": "c", "send_to": " c@example.org ", "language": "de"}
    mailed = await sent(service, f"/page/subject/{act}", form)
    (mail,) = service.sent
    kind = "reset" if act == "reset-link" else "invitation"
    assert (mail.kind, mail.to, mail.username) == (kind, "c@example.org", "carol")
    assert (mail.link, mail.expires_at) == (
        "https://auth.example/page/link?token=cpl_secret",
        LINK.expires_at,
    )
    assert mail.language == "de"
    assert "c@example.org" in mailed.text
    assert "cpl_secret" not in mailed.text


async def test_the_pages_of_administrators(service: Served) -> None:
    first = await service.page("GET", "/page/online", token="root")
    assert service.asked() == [("online.page", None, {"limit": 50}), ("online.count", {})]
    for shown in ("alice", "laptop", "/page/online?cursor=next", "/page/subject?name=root"):
        assert shown in first.text
    await service.page("GET", "/page/online?cursor=next", token="root")
    assert service.asked() == [("online.page", "next", {"limit": 50})]
    subject = await service.page("GET", "/page/subject?name=c", token="root")
    assert service.asked() == [
        NAMED,
        ("sessions", "carol", {}),
        ("claims.get", "carol", {}),
        ("bans.list", "carol", {}),
        ("history", "carol", {}),
    ]
    for shown in ("laptop", "spam", "&#34;plan&#34;: &#34;pro&#34;", 'action="/page/subject/ban"'):
        assert shown in subject.text
    export = await service.page("GET", "/page/subject/export?name=c", token="root")
    assert service.asked() == [NAMED, ("users.export", "carol", {})]
    assert export.json() == {"subject": "carol"}
    assert export.headers["content-type"] == "application/json"
    assert export.headers["content-disposition"] == "attachment; filename*=UTF-8''carol.json"
    for path in ("/page/online", "/page/subject?name=c", "/page/subject/export?name=c"):
        assert (await service.page("GET", path, token="alice")).status_code == 404
        assert (await service.page("GET", path)).status_code == 303


async def test_who_is_no_administrator_is_noted_in_the_audit_trail() -> None:
    service = Served(ANSWERS, USERS, audit=True)
    noted = {"subject": None, "outcome": "refused", "error": "administrator_required"}
    for method, path, form in (
        ("GET", "/page/online", None),
        ("POST", "/page/subject/ban", {"name": "c", "level": "1"}),
    ):
        answer = await service.page(method, path, form, token="alice")
        assert answer.status_code == 404
        named = {**noted, "details": {"path": path}, "sparing": True}
        assert service.asked() == [("audit.note", "administration", named)]
