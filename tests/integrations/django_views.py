"""The URLs and the views of the site; imported once its settings are there."""

import itertools

from django.contrib import admin, auth
from django.contrib.auth import views as auth_views
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_control, cache_page
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.vary import vary_on_headers
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny, IsAdminUser, IsAuthenticated
from rest_framework.response import Response

from clusterpass.integrations.django import log_in, session_required
from clusterpass.integrations.drf import HasScope


def who(request):
    return HttpResponse(request.user.get_username() or "nobody")


async def async_who(request):
    user = await request.auser()
    return HttpResponse(user.get_username() or "nobody")


def token(request):
    return HttpResponse(get_token(request))


@csrf_exempt
def api_login(request):
    user = auth.authenticate(
        request, username=request.POST["username"], password=request.POST["password"]
    )
    return log_in(request, user)


def new_password(request):
    request.user.set_password(request.POST["password"])
    request.user.save()
    auth.update_session_auth_hash(request, request.user)
    return HttpResponse()


@session_required(scope="orders:read")
def orders(request):
    return HttpResponse(f"{request.clusterpass_session.subject}")


@session_required(scope="orders:read")
async def async_orders(request):
    return HttpResponse(f"{request.clusterpass_session.subject}")


@method_decorator(session_required(scope="report", strict=True), name="dispatch")
class Report(View):
    def get(self, request):
        return HttpResponse("report")

    def post(self, request):
        return HttpResponse("reported")


@session_required()
@cache_page(60)
@vary_on_headers("Cookie", "Authorization")
def cached_inside(request):
    return HttpResponse(f"{request.clusterpass_session.subject}")


shown = itertools.count(1)


@cache_control(public=True, max_age=300)
def counted(request):
    return HttpResponse(f"{next(shown)} {request.user.get_username()}")


def endpoint(*permissions):
    @api_view(["GET", "POST"])
    @permission_classes(permissions)
    def view(request):
        return Response({"user": request.user.get_username()})

    return view


urlpatterns = [
    path("admin/", admin.site.urls),
    path("auth/", include("clusterpass.integrations.django.urls")),
    path("login/", auth_views.LoginView.as_view(template_name="admin/login.html")),
    path("api-login", api_login),
    path("who", who),
    path("async-who", async_who),
    path("token", token),
    path("new-password", new_password),
    path("orders", orders),
    path("async-orders", async_orders),
    path("report", Report.as_view()),
    path("counted", counted),
    path("cached", cache_page(60)(orders)),
    path("cached-async", cache_page(60)(async_orders)),
    path("cached-inside", cached_inside),
    path("api/cached", cache_page(60)(endpoint(IsAuthenticated))),
    path("api/anyone", endpoint(AllowAny)),
    path("api/users", endpoint(IsAuthenticated)),
    path("api/orders", endpoint(HasScope("orders:write"))),
    path("api/either", endpoint(HasScope("orders:write") | HasScope("orders:read"))),
    path("api/both", endpoint(HasScope("orders:read") & IsAdminUser)),
    path("api/strict", endpoint(HasScope(strict=True))),
    path("api/recent", endpoint(HasScope(max_auth_age=0))),
]
