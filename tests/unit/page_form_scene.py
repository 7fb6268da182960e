"""Forms of the page, sent to a service whose session manager answers from a list."""

from typing import Any

from clusterpass import (
    Applied,
    Ban,
    OnlineCount,
    OnlinePage,
    Session,
)

from .service_scene import ALICE, ENDED, PAIR, ROOT, Served
from .test_service_api import OF_USERS

LAPTOP = Session("alice", "l" * 22, "laptop", 1, 2, 3, device_type="desktop")
BAN = Ban(scope="", level=1, until=None, reason="spam", banned_at=5)
ANSWERS: dict[str, Any] = {
    "authenticator.login": PAIR,
    "elevate": PAIR,
    "impersonate": PAIR,
    "revoke": ENDED,
    "revoke_all": ENDED,
    "erase": ENDED,
    "sessions": [ALICE, LAPTOP],
    "history": [],
    "bans.add": ENDED,
    "bans.lift": Applied(1, durable=True),
    "bans.list": [BAN],
    "claims.get": {"plan": "pro"},
    "online.page": OnlinePage((ALICE, LAPTOP, ROOT), "next"),
    "online.count": OnlineCount(2, 3),
}
USERS = {**OF_USERS, "users.change_password": PAIR}
AGENT = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
FORM_OF_PASSWORDS = {"current": "old", "new": "n", "again": "n"}
ABOUT_C = "/page/subject?name=carol"
NAMED = ("users.subject_of", "c", {})


def notice(answer: Any, service: Served) -> str:
    """The code of the notice that is left for the next page."""
    name = service.gate.settings.cookies.notice.name
    found = [each for each in answer.headers.get_list("set-cookie") if each.startswith(name)]
    return found[-1].partition("=")[2].partition(";")[0] if found else ""


def cookies_of(answer: Any) -> dict[str, str]:
    pairs = [each.partition(";")[0].split("=", 1) for each in answer.headers.get_list("set-cookie")]
    return dict(pairs)


async def sent(
    service: Served, path: str, form: dict[str, str], token: str | None = "root", **more: Any
) -> Any:
    service.sessions.asked.clear()
    return await service.page("POST", path, form, token=token, **more)
