"""Checks of devices, of how sessions end, of sockets, of step-up, and of an outage."""

import re
import time
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from benchmarks.apps.check_runner import Listed, lister
from benchmarks.apps.visitor import ABSENT, Failed, NotThere, Visitor, answered, expect, there

ENDINGS: dict[str, Listed] = {}
check = lister(ENDINGS)
SOON = 1.0
"""Seconds within which another server has to refuse; the table says how long it took."""
_OUTAGE_SECONDS = 12.0


@check("the user's devices, with the current one marked")
def devices(visitor: Visitor) -> None:
    client, _ = visitor.phone()
    visitor.browser()
    listed = listed_devices(client)
    expect(sum(each["current"] for each in listed) == 1, "the current one")
    expect({"phone", "browser"} <= {each["device"] for each in listed}, "a device is missing")


@check("one device is logged out by another, and refused by another server")
def end_device(visitor: Visitor) -> None:
    client, _ = visitor.phone()
    lost = visitor.browser()
    id_of_lost = current_device(lost)
    warm(visitor, lost)
    expect(client.delete(f"/devices/{id_of_lost}").is_success, "not ended")
    refused = visitor.await_refusal(lost, visitor.elsewhere("/me"), SOON)
    expect(refused.status_code == 401, answered(refused))
    expect(client.get("/me").status_code == 200, "others are out too")


@check("a user logs out everywhere, and is refused by another server")
def end_all(visitor: Visitor) -> None:
    client, _ = visitor.phone("bob")
    other, _ = visitor.phone("bob")
    warm(visitor, other)
    expect(there(client.post("/logout-all")).is_success, "not ended")
    refused = visitor.await_refusal(other, visitor.elsewhere("/me"), SOON)
    expect(refused.status_code == 401, answered(refused))


@check("an administrator logs a user out, who is refused by another server")
def kick(visitor: Visitor) -> None:
    client = visitor.browser("bob")
    warm(visitor, client)
    _kick(visitor, "bob")
    refused = visitor.await_refusal(client, visitor.elsewhere("/me"), SOON)
    expect(refused.status_code == 401, answered(refused))


@check("who is refused is told that the session has ended")
def told(visitor: Visitor) -> None:
    client, _ = visitor.phone("bob")
    _kick(visitor, "bob")
    answer = visitor.await_refusal(client, "/me")
    expect(bool(re.search(r"revoked|ended|logged.?out", answer.text, re.I)), "it is not said")


@check("... and by what: a logout of their own differs from that by an administrator")
def told_why(visitor: Visitor) -> None:
    client, _ = visitor.phone("bob")
    expect(client.post("/logout").is_success, "not ended")
    by_user = visitor.await_refusal(client, "/me")
    client, _ = visitor.phone("bob")
    _kick(visitor, "bob")
    by_administrator = visitor.await_refusal(client, "/me")
    expect(by_user.text != by_administrator.text, "the same answer")


@check("a WebSocket closes when its session is revoked")
def socket(visitor: Visitor) -> None:
    if visitor.served.candidate.server == "wsgi":
        raise NotThere("over WSGI, as it is served here, there are no sockets")
    client, pair = visitor.phone("bob")
    url = visitor.elsewhere("/echo").replace("http:", "ws:")
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    try:
        with connect(url, additional_headers=headers) as opened:
            opened.send("hello")
            expect(opened.recv(5.0) == "hello", "no echo")
            client.post("/logout-all")
            opened.recv(SOON)
    except InvalidHandshake as error:
        raise Failed("no socket") from error
    except TimeoutError as error:
        raise Failed("stays open") from error
    except ConnectionClosed:
        return
    raise Failed("spoke")


@check("a route asks for a recent login: a session that was only refreshed is refused")
def step_up(visitor: Visitor) -> None:
    _stepped_up(visitor)


@check("... with the challenge of RFC 9470")
def step_up_challenge(visitor: Visitor) -> None:
    challenge = _stepped_up(visitor).headers.get("www-authenticate", "")
    expect('error="insufficient_user_authentication"' in challenge, "without that challenge")


@check("an outage of the store is a 503, and everybody is still logged in after it")
def outage(visitor: Visitor) -> None:
    client = visitor.browser()
    warm(visitor, client)
    with visitor.served.outage():
        refused = visitor.await_refusal(client, "/me", _OUTAGE_SECONDS)
        kept = visitor.served.candidate.access_cookie in client.cookies
    give_up_at = visitor.give_up_at(_OUTAGE_SECONDS)
    while (after := _status(client)) >= 500 and time.monotonic() < give_up_at:
        pass
    expect(refused.status_code == 503, answered(refused))
    expect(kept and after == 200, f"logged out: {after}")


def warm(visitor: Visitor, client: httpx.Client) -> None:
    """Have both servers see the session of ``client``."""
    for url in ("/me", visitor.elsewhere("/me")):
        answer = client.get(url)
        expect(answer.status_code == 200, f"/me: {answer.status_code}")


def listed_devices(client: httpx.Client) -> list[dict[str, Any]]:
    """The sessions of the user, as the app lists them."""
    listed: list[dict[str, Any]] = there(client.get("/devices")).json()
    return listed


def current_device(client: httpx.Client) -> str:
    """The id of the session of ``client``."""
    return next(str(each["id"]) for each in listed_devices(client) if each["current"])


def _status(client: httpx.Client) -> int:
    """Of ``/me``; a server that failed may close a connection that is about to be used."""
    try:
        return client.get("/me").status_code
    except httpx.TransportError:
        return 500


def _kick(visitor: Visitor, name: str) -> None:
    administrator, _ = visitor.phone("root")
    expect(there(administrator.post(f"/admin/kick/{name}")).is_success, "not ended")


def _stepped_up(visitor: Visitor) -> httpx.Response:
    """The refusal of a session that was refreshed, after it was let in at first."""
    client, pair = visitor.phone()
    answer = client.post("/pay")
    if answer.status_code in ABSENT:
        raise NotThere("nothing of the kind in the library")
    expect(answer.is_success, f"after a login: {answer.status_code}")
    give_up_at = visitor.give_up_at(10.0)
    while answer.is_success:
        expect(time.monotonic() < give_up_at, "let in")
        pair = visitor.renewed(pair)
        client.headers["Authorization"] = f"Bearer {pair['access_token']}"
        answer = client.post("/pay")
    expect(answer.status_code in (401, 403), answered(answer))
    expect(client.get("/me").status_code == 200, "logged out")
    return answer
