"""Checks of logins, cookies, CSRF, refreshes and challenges."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.apps.check_runner import Listed, lister
from benchmarks.apps.serving import REFRESH_GRACE
from benchmarks.apps.visitor import BROWSER, NotThere, Visitor, answered, expect, there

ACCESS: dict[str, Listed] = {}
check = lister(ACCESS)
_REFUSED = (401, 403)


@check("a client of the API gets tokens and no cookie, `Cache-Control: no-store`")
def api_login(visitor: Visitor) -> None:
    client, pair = visitor.phone()
    expect(client.get("/me").json()["name"] == "alice", "/me")
    expect("access_token" in pair and not client.cookies, "cookies")
    again = client.post("/login", json={"username": "alice", "password": "pw"})
    expect("no-store" in again.headers.get("cache-control", ""), "without `no-store`")


@check("a browser gets its tokens in `HttpOnly`, `SameSite` cookies alone")
def browser_login(visitor: Visitor) -> None:
    client = visitor.client(**BROWSER)
    answer = client.post("/login", json={"username": "alice", "password": "pw"})
    expect("access_token" not in answer.text, "a token in the body")
    cookies = answer.headers.get_list("set-cookie")
    name = visitor.served.candidate.access_cookie
    access = next((each.lower() for each in cookies if each.startswith(f"{name}=")), "")
    expect("httponly" in access and "samesite" in access, "attributes")
    expect(client.get("/me").status_code == 200, "/me")


@check("refresh by the body")
def refresh(visitor: Visitor) -> None:
    client, pair = visitor.phone()
    renewed = visitor.refresh(pair)
    expect(renewed.status_code == 200, answered(renewed))
    token = renewed.json()["access_token"]
    answer = client.get("/me", headers={"Authorization": f"Bearer {token}"})
    expect(answer.status_code == 200, answered(answer))


@check("refresh by a cookie, with a CSRF token only")
def browser_refresh(visitor: Visitor) -> None:
    client = visitor.browser()
    forged = there(client.post("/refresh"))
    expect(forged.status_code in _REFUSED, f"forged: {forged.status_code}")
    answer = client.post("/refresh", headers=visitor.csrf(client, refresh=True))
    expect(answer.status_code == 200, answered(answer))
    expect(client.get("/me").status_code == 200, "/me")


@check("a browser whose access token is over is renewed by the request itself")
def silent_refresh(visitor: Visitor) -> None:
    client = visitor.browser()
    _needs_refresh(visitor)
    client.cookies.delete(visitor.served.candidate.access_cookie)
    answer = client.get("/me")
    expect(answer.status_code == 200, answered(answer))


@check("a retry of a refresh whose answer was lost does not log out")
def retry(visitor: Visitor) -> None:
    client, pair = visitor.phone()
    first, second = visitor.refresh(pair), visitor.refresh(pair)
    expect(second.status_code == 200, answered(second))
    for answer in (first, second):
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        expect(client.get("/me", headers=headers).status_code == 200, "/me")


@check("two tabs that refresh at once both stay logged in")
def two_tabs(visitor: Visitor) -> None:
    _needs_refresh(visitor)
    for _ in range(5):
        first, second = visitor.browser(), visitor.client(**BROWSER)
        second.cookies.update(first.cookies)

        def renew(tab: httpx.Client) -> int:
            return tab.post("/refresh", headers=visitor.csrf(tab, refresh=True)).status_code

        with ThreadPoolExecutor(2) as pool:
            statuses = list(pool.map(renew, (first, second)))
        statuses += [tab.get("/me").status_code for tab in (first, second)]
        worst = max(statuses)
        expect(worst == 200, f"answers {worst}")


@check("a refresh token that is used again later, as a thief would, ends the session")
def theft(visitor: Visitor) -> None:
    client, pair = visitor.phone()
    newest = visitor.renewed(visitor.renewed(pair))
    give_up_at = visitor.give_up_at(REFRESH_GRACE + 3.0)
    while (stolen := visitor.refresh(pair)).status_code == 200:
        expect(time.monotonic() < give_up_at, "the old token is accepted")
        time.sleep(0.2)
    expect(stolen.status_code in _REFUSED, answered(stolen))
    client.headers["Authorization"] = f"Bearer {newest['access_token']}"
    visitor.await_refusal(client, "/me", 2.0)


@check("a request by cookies without a CSRF token changes nothing")
def csrf(visitor: Visitor) -> None:
    client = visitor.browser()
    for path in ("/logout", "/logout-all", "/orders"):
        answer = there(client.post(path))
        expect(answer.status_code in _REFUSED, f"{path}: {answer.status_code}")
    expect(client.get("/me").status_code == 200, "logged out")


@check("the CSRF token of another session is refused")
def csrf_of_another(visitor: Visitor) -> None:
    client, other = visitor.browser(), visitor.browser("bob")
    answer = client.post("/logout", headers=visitor.csrf(other))
    expect(answer.status_code in _REFUSED, answered(answer))
    expect(client.post("/logout", headers=visitor.csrf(client)).is_success, "its own is too")


@check("a logout takes the cookies")
def logout(visitor: Visitor) -> None:
    client = visitor.browser()
    expect(client.post("/logout", headers=visitor.csrf(client)).is_success, "refused")
    name = visitor.served.candidate.access_cookie
    expect(name not in client.cookies, "the cookie stays")


@check("RFC 6750: 401 without a token carries a `Bearer` challenge")
def challenge(visitor: Visitor) -> None:
    answer = visitor.client().get("/me")
    expect(answer.status_code == 401, answered(answer))
    expect(_challenge(answer).startswith("Bearer"), "without a challenge")


@check('RFC 6750: 401 with a bad token carries `error="invalid_token"`')
def challenge_invalid(visitor: Visitor) -> None:
    answer = visitor.client(Authorization="Bearer garbage").get("/me")
    expect(answer.status_code == 401, answered(answer))
    expect('error="invalid_token"' in _challenge(answer), "without that `error`")


@check('RFC 6750: 403 carries `error="insufficient_scope"` and the scope that is needed')
def challenge_scope(visitor: Visitor) -> None:
    client, _ = visitor.phone()
    answer = client.post("/orders")
    expect(answer.status_code == 403, answered(answer))
    expect('error="insufficient_scope"' in _challenge(answer), "without that `error`")
    expect("orders:write" in _challenge(answer), "without the scope")


@check("a session with `orders:*` may do what needs `orders:write`")
def wildcards(visitor: Visitor) -> None:
    client, _ = visitor.phone("root")
    answer = client.post("/orders")
    expect(answer.status_code == 200, answered(answer))


def _challenge(answer: httpx.Response) -> str:
    return str(answer.headers.get("www-authenticate", ""))


def _needs_refresh(visitor: Visitor) -> None:
    if visitor.client().post("/refresh").status_code == 404:
        raise NotThere("there is no `/refresh`")
