"""A server on Simple JWT, with its blacklist in SQLite.

Simple JWT looks up refresh and sliding tokens in the blacklist, but not access tokens. So this
server issues sliding tokens, which its documentation has for logouts that take effect at once.
"""

import os
from datetime import timedelta

from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

settings.configure(
    SECRET_KEY=os.environ["SECRET"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE_FILE"],
            "CONN_MAX_AGE": None,
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication"
        ],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    SIMPLE_JWT={
        "AUTH_TOKEN_CLASSES": ["rest_framework_simplejwt.tokens.SlidingToken"],
        "SLIDING_TOKEN_LIFETIME": timedelta(hours=1),
    },
)
app = get_wsgi_application()

from django.contrib.auth.models import User
from django.urls import path
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.tokens import SlidingToken

call_command("migrate", verbosity=0)
alice = User.objects.create_user("alice")


@api_view(["POST"])
@authentication_classes([])
@permission_classes([])
def login(_: Request) -> Response:
    """A token."""
    return Response({"access_token": str(SlidingToken.for_user(alice))})


@api_view(["GET"])
def verify(request: Request) -> Response:
    """The user whom the token belongs to."""
    return Response({"subject": request.user.username})


@api_view(["POST"])
def logout(request: Request) -> Response:
    """Its end."""
    request.auth.blacklist()
    return Response({})


urlpatterns = [path("login", login), path("verify", verify), path("logout", logout)]
