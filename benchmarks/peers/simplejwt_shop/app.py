"""The pages of the shop: login, refresh, logout, orders, and the list of devices."""

import os

from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

# An application has its settings, its URLs and its views in files of their own.
SCOPES = {"admin": "orders:* admin", "editor": "orders:read editor"}

settings.configure(
    SECRET_KEY=os.environ["SECRET"],
    DEBUG=False,
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGIN_URL="/accounts/login/",
    LOGIN_REDIRECT_URL="/page",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "rest_framework",
        "benchmarks.peers.simplejwt_shop",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "benchmarks.peers.simplejwt_shop.authentication.CookieJWTAuthentication"
        ],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE_FILE"],
            "OPTIONS": {"timeout": 1},
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
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group, User
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect
from django.template import RequestContext, Template
from django.urls import path
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from .authentication import check_session, enforce_csrf, has
from .models import LoginSession

PAGE = Template("""Hello <b id=who>{{ user.username }}</b>
<form method=post action=/accounts/logout/>{% csrf_token %}<button>Log out</button></form>""")


def hand_out(request, token, new=False):
    tokens = {"access_token": str(token.access_token)}
    if new:
        tokens["refresh_token"] = str(token)
    if "Sec-Fetch-Site" not in request.headers:
        return Response({**tokens, "session_id": token["sid"]})
    get_token(request)
    response = Response({"session_id": token["sid"]})
    for name, value in tokens.items():
        response.set_cookie(name, value, httponly=True, samesite="Lax")
    return response


def end(**which):
    return Response({"ended": LoginSession.objects.filter(ended=False, **which).update(ended=True)})


@api_view(["POST"])
@authentication_classes([])
@permission_classes([AllowAny])
def refresh(request):
    raw = request.data.get("refresh_token")
    if raw is None:
        raw = request.COOKIES.get("refresh_token", "")
        enforce_csrf(request)
    try:
        token = RefreshToken(raw)
    except TokenError as error:
        raise InvalidToken(str(error)) from None
    check_session(token)
    return hand_out(request, token)


@api_view(["POST"])
def log_out(request):
    end(pk=request.auth["sid"])
    response = Response(status=204)
    response.delete_cookie("access_token")
    response.delete_cookie("refresh_token")
    return response


@api_view(["POST"])
def log_out_everywhere(request):
    return end(user=request.user)


@api_view()
def devices(request):
    rows = LoginSession.objects.filter(user=request.user, ended=False)
    current = request.auth["sid"]
    return Response(
        [{"id": row.pk, "device": row.device, "current": row.pk == current} for row in rows]
    )


@api_view(["DELETE"])
def end_device(request, session_id):
    return end(pk=session_id, user=request.user)


@api_view(["POST"])
@authentication_classes([])
@permission_classes([AllowAny])
def login(request):
    form = request.data
    user = authenticate(request, username=form["username"], password=form["password"])
    if user is None:
        raise AuthenticationFailed
    device = form.get("device") or request.headers.get("User-Agent", "")[:128]
    token = RefreshToken.for_user(user)
    token["sid"] = LoginSession.objects.create(user=user, device=device).pk
    token["roles"] = [group.name for group in user.groups.all()]
    token["scope"] = " ".join(SCOPES[role] for role in token["roles"])
    return hand_out(request, token, new=True)


@login_required
def page(request):
    return HttpResponse(PAGE.render(RequestContext(request)))


@api_view()
def me(request):
    return Response({"name": request.user.username, "roles": request.auth["roles"]})


@api_view()
@permission_classes([has(scope="editor")])
def edit(request):
    return Response("edited")


@api_view(["POST"])
@permission_classes([has(scope="orders:write")])
def order(request):
    return Response("ordered")


@api_view(["POST"])
@permission_classes([has(role="admin")])
def kick(request, name):
    return end(user=get_object_or_404(User, username=name))


urlpatterns = [
    path("", lambda request: redirect("/page")),
    path("accounts/login/", LoginView.as_view(template_name="admin/login.html")),
    path("accounts/logout/", LogoutView.as_view(next_page="/accounts/login/")),
    path("refresh", refresh),
    path("logout", log_out),
    path("logout-all", log_out_everywhere),
    path("devices", devices),
    path("devices/<int:session_id>", end_device),
    path("login", login),
    path("page", page),
    path("me", me),
    path("edit", edit),
    path("orders", order),
    path("admin/kick/<str:name>", kick),
    path("admin/", admin.site.urls),
]

call_command("migrate", run_syncdb=True, verbosity=0)
for name, groups in {"root": ["admin"], "alice": ["editor"], "bob": []}.items():
    staff = name == "root"
    if not User.objects.filter(username=name).exists():
        user = User.objects.create_user(name, password="pw", is_staff=staff, is_superuser=staff)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
