"""The URLs of ``django_site``."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from clusterpass.integrations.django import log_in, respond, session_required

from .web_sites import PAIR


class User:
    """As far as sessions go, a user of ``django.contrib.auth``."""

    def __init__(self, name: str) -> None:
        self.pk = name


@session_required()
def who(request: Any) -> HttpResponse:
    return HttpResponse(request.clusterpass_session.subject)


def unguarded(request: Any) -> HttpResponse:
    """A view that only asks who is there."""
    session = request.clusterpass_session
    return HttpResponse(session.subject if session else "nobody")


def token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


@csrf_exempt
def login(request: HttpRequest) -> HttpResponse:
    return log_in(request, User("mallory"))


@csrf_exempt
def again(request: HttpRequest) -> HttpResponse:
    return respond(request, PAIR)


@csrf_exempt
def sso(request: HttpRequest) -> HttpResponse:
    return log_in(request, User("alice"), target="/", allow_cross_site=True)


def callback(request: HttpRequest) -> HttpResponse:
    return log_in(request, User("alice"), target="/orders")


urlpatterns = [
    path("page", who),
    path("change", who),
    path("socket", who),
    path("unguarded", unguarded),
    path("token", token),
    path("login", login),
    path("checked-login", lambda request: log_in(request, User("alice"))),
    path("again", again),
    path("sso", sso),
    path("callback", callback),
    path("auth/", include("clusterpass.integrations.django.urls")),
]
