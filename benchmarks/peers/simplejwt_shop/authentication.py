"""Reads access tokens from cookies, with the CSRF check of Django REST framework."""

from rest_framework.authentication import CSRFCheck
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken


class CookieJWTAuthentication(JWTAuthentication):
    def authenticate(self, request):
        if self.get_header(request) is not None:
            return super().authenticate(request)
        raw = request.COOKIES.get("access_token")
        if not raw:
            return None
        enforce_csrf(request)
        token = self.get_validated_token(raw)
        return self.get_user(token), token

    def get_validated_token(self, raw):
        token = super().get_validated_token(raw)
        check_session(token)
        return token


def check_session(token):
    from .models import LoginSession

    if not LoginSession.objects.filter(pk=token["sid"], ended=False).exists():
        raise InvalidToken("The session has ended.")


def enforce_csrf(request):
    check = CSRFCheck(lambda _: None)
    check.process_request(request)
    reason = check.process_view(request, None, (), {})
    if reason:
        raise PermissionDenied(f"CSRF Failed: {reason}")


def has(role="", scope=""):
    class Has(BasePermission):
        def has_permission(self, request, view):
            if request.auth is None or (role and role not in request.auth["roles"]):
                return False
            return not scope or scope in request.auth["scope"].split()

    return Has
