"""A shop in Django: a phone, a browser and an administrator; roles, scopes, devices, the admin."""

import json
import sys

from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.core.wsgi import get_wsgi_application

# An application has its settings, its URLs and its views in files of their own, and a database.
SCOPES = {"admin": "orders:* admin", "editor": "orders:read editor"}


def claims_of(user):
    roles = [group.name for group in user.groups.all()]
    return {"roles": roles, "scope": " ".join(SCOPES[role] for role in roles)}


settings.configure(
    SECRET_KEY="an example has no secret",
    DEBUG=False,
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGIN_URL="/login",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "rest_framework",
        "clusterpass.integrations.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "clusterpass.integrations.django.middleware.ClusterPassMiddleware",
    ],
    CLUSTERPASS={"CLAIMS": claims_of, "COOKIE_SECURE": False},  # on localhost
    AUTHENTICATION_BACKENDS=[
        "clusterpass.integrations.django.backends.LoginThrottle",
        "django.contrib.auth.backends.ModelBackend",
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["clusterpass.integrations.drf.SessionAuthentication"],
        "EXCEPTION_HANDLER": "clusterpass.integrations.drf.exception_handler",
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "file:shop?mode=memory&cache=shared",
        }
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # for a quick example only
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
)
app = get_wsgi_application()

from django.contrib import admin
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template import RequestContext, Template
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response

from clusterpass.integrations.django import log_in, session_required, sessions, subject_of
from clusterpass.integrations.drf import HasScope

LOGIN_PAGE = Template("""<form method=post action=/login>
<input name=username><input name=password type=password>
<input type=hidden name=next value="{{ request.GET.next|default:'/page' }}">
<button>Log in</button></form>""")
PAGE = Template("""Hello <b id=who>{{ user.username }}</b>
<form method=post action=/logout>{% csrf_token %}<button>Log out</button></form>""")


@csrf_exempt
def login(request):
    if request.method != "POST":
        return HttpResponse(LOGIN_PAGE.render(RequestContext(request)))
    form = request.POST or json.loads(request.body)
    user = authenticate(request, username=form["username"], password=form["password"])
    if user is None:
        return HttpResponse(status=401)
    return log_in(request, user, device=form.get("device"), target=form.get("next"))


@session_required()
def page(request):
    return HttpResponse(PAGE.render(RequestContext(request)))


@session_required()
def me(request):
    roles = request.clusterpass_session.claims["roles"]
    return JsonResponse({"name": request.user.username, "roles": roles})


@session_required(scope="editor")
def edit(request):
    return HttpResponse("edited")


@api_view(["POST"])
@permission_classes([HasScope("orders:write")])
def order(request):
    return Response("ordered")


@require_POST
@session_required(scope="admin", strict=True)
def kick(request, name):
    user = get_object_or_404(User, username=name)
    return JsonResponse({"ended": sessions().revoke_all(subject_of(user)).count})


urlpatterns = [
    path("", lambda request: redirect("/page")),
    path("", include("clusterpass.integrations.django.urls")),  # /refresh, /logout, /devices, ...
    path("login", login),
    path("page", page),
    path("me", me),
    path("edit", edit),
    path("orders", order),
    path("admin/kick/<str:name>", kick),
    path("admin/", admin.site.urls),
]

call_command("migrate", verbosity=0)
for name, groups in {"root": ["admin"], "alice": ["editor"], "bob": []}.items():
    staff = name == "root"
    user = User.objects.create_user(name, password="pw", is_staff=staff, is_superuser=staff)
    user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
