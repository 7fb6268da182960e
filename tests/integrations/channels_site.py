"""A site in Django Channels for the tests to serve, as ``application``.

Environment variables configure it.
"""

import os
import tempfile
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.http import JsonResponse
from django.urls import path

DATABASE = Path(tempfile.mkdtemp(dir=os.environ["FOLDER"])) / "site.sqlite3"

settings.configure(
    SECRET_KEY="secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "clusterpass.integrations.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "clusterpass.integrations.django.middleware.ClusterPassMiddleware",
    ],
    CLUSTERPASS={
        "COOKIE_SECURE": False,
        "SUBJECT_FIELD": "username",
        "TOKEN_PLACES": ["header", "cookie", "query"],
    },
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATABASE)}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
django.setup()
call_command("migrate", verbosity=0)

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib import auth
from django.contrib.auth.models import User

from clusterpass.integrations.channels import ClusterPassMiddleware, SessionConsumer
from clusterpass.integrations.django.conf import installed

left: list[list[object]] = []
heard: list[list[object]] = []
for name in ("alice", "bob"):
    User.objects.create_user(name, password="pw")


class Echo(SessionConsumer, AsyncWebsocketConsumer):
    groups = ("everyone",)
    session_scopes = ("chat",)
    session_not_banned = "chat"

    async def receive(self, text_data=None, bytes_data=None):
        heard.append([self.clusterpass_session.subject, text_data])
        if text_data == "everyone":
            await self.channel_layer.group_send("everyone", {"type": "tell"})
            return
        if text_data == "bye":
            await self.close(4000)
            return
        await self.send(f"{text_data} {self.clusterpass_session.claims['role']}")

    async def tell(self, message):
        await self.send("to everyone")

    async def disconnect(self, code):
        left.append([self.clusterpass_session.subject, code])


class SyncEcho(SessionConsumer, WebsocketConsumer):
    session_scopes = ("chat",)

    def receive(self, text_data=None, bytes_data=None):
        self.send(f"{text_data} {self.clusterpass_session.claims['role']}")

    def disconnect(self, code):
        left.append([self.clusterpass_session.subject, code])


class InOutage(Echo):
    session_in_outage = "close"


class Who(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.accept()
        session = self.scope["clusterpass_session"]
        found = {
            "user": self.scope["user"].get_username(),
            "session": session and session.session_id,
        }
        await self.send_json(found)


def log_in(request):
    user = auth.authenticate(request, username=request.GET["name"], password="pw")
    auth.login(request, user)
    return JsonResponse({})


def who(request):
    return JsonResponse({"user": request.user.get_username()})


def state(request):
    """Answer with consumers that left, messages heard, and the count of watched sessions."""
    followers = installed().async_sessions._flows.memory.near.followers
    return JsonResponse({"left": left, "heard": heard, "watched": len(followers)})


urlpatterns = [path("log-in", log_in), path("who", who), path("state", state)]
sockets = URLRouter(
    [
        path("echo", Echo.as_asgi()),
        path("sync-echo", SyncEcho.as_asgi()),
        path("in-outage", InOutage.as_asgi()),
        path("who", Who.as_asgi()),
    ]
)
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": AuthMiddlewareStack(ClusterPassMiddleware(sockets)),
    }
)
