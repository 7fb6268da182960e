"""Django's sessions in its Redis cache; no user is looked up."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(
    SECRET_KEY=os.environ["SECRET"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["REDIS_URL"],
        }
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
)
app = get_wsgi_application()

from django.http import HttpRequest, JsonResponse
from django.urls import path


def login(request: HttpRequest) -> JsonResponse:
    """A session."""
    request.session["subject"] = "alice"
    return JsonResponse({})


def verify(request: HttpRequest) -> JsonResponse:
    """The user whom the session belongs to."""
    if "subject" not in request.session:
        return JsonResponse({"error": "no session"}, status=401)
    return JsonResponse({"subject": request.session["subject"]})


def logout(request: HttpRequest) -> JsonResponse:
    """Its end."""
    request.session.flush()
    return JsonResponse({})


urlpatterns = [path("login", login), path("verify", verify), path("logout", logout)]
