"""Browsers of the site: logged in by Django's forms, and what they hold."""

from typing import Any

from django.test import Client

from clusterpass.integrations.django import conf, sessions, subject_of

COOKIES = {"clusterpass-access", "clusterpass-refresh", "clusterpass-csrf"}


NAVIGATION = {"HTTP_ACCEPT": "text/html", "HTTP_SEC_FETCH_MODE": "navigate"}


def token(client: Client) -> str:
    return client.get("/token").content.decode()


def logged_in(user: Any, path: str = "/login/") -> Client:
    """A browser in which ``user`` has logged in by a form of Django."""
    client = Client(enforce_csrf_checks=True)
    fields = {"username": user.username, "password": "pw", "csrfmiddlewaretoken": token(client)}
    answer = client.post(path, {**fields, "next": "/who"})
    assert answer.status_code == 302, answer.content
    assert {"sessionid", *COOKIES} <= set(client.cookies)
    return client


def kept(client: Client) -> set[str]:
    """The cookies that the browser has not been told to forget."""
    return {name for name, cookie in client.cookies.items() if cookie.value}


def bearer(user: Any) -> dict[str, str]:
    pair = sessions().login(subject_of(user), claims=conf.installed().claims_of(user))
    return {"HTTP_AUTHORIZATION": f"Bearer {pair.access_token}"}


def ours(client: Client) -> dict[str, str]:
    return {"HTTP_X_CSRF_TOKEN": client.cookies["clusterpass-csrf"].value}


def who(client: Client, **headers: Any) -> str:
    return client.get("/who", **headers).content.decode()


def live(user: Any) -> int:
    return len(sessions().sessions(subject_of(user)))
