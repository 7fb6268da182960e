"""CSRF in Django: its own check, which may stand in for ours, and our token in a form."""

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from clusterpass.integrations.django.conf import installed
from clusterpass.integrations.django.requests import DjangoRequest
from clusterpass.web import endpoints
from clusterpass.web.messages import SAFE_METHODS

_DJANGO_FIELD: Final = "csrfmiddlewaretoken"


def form_token(request: Any) -> str:
    """Return our CSRF token in a submitted form; empty when there is none."""
    return _form_value(request, installed().gate.settings.csrf_field)


def is_genuine(request: Any) -> bool:
    """Return whether Django has established that no other site made the browser send ``request``.

    Where our own CSRF token is missing, Django's own (``{% csrf_token %}``) is accepted, if the
    middleware of Django is installed.
    """
    if getattr(request, "csrf_processing_done", False) or getattr(
        request, "_dont_enforce_csrf_checks", False
    ):
        return True
    if request.method in SAFE_METHODS or not has_django_check() or _has_own_token(request):
        return False
    if not (_form_value(request, _DJANGO_FIELD) or request.META.get(settings.CSRF_HEADER_NAME)):
        return False
    check = _Check(_nothing)
    check.process_request(request)
    return check.process_view(request, _nothing, (), {}) is None


def has_django_check() -> bool:
    """Return whether Django's CSRF middleware, or one that is named as it is, is installed."""
    return any(name.endswith("CsrfViewMiddleware") for name in settings.MIDDLEWARE)


class _Check(CsrfViewMiddleware):
    """Django's check, which returns the reason for a refusal instead of a response."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _nothing(_: HttpRequest) -> HttpResponse:
    return HttpResponse()


def _has_own_token(request: Any) -> bool:
    header = installed().gate.settings.csrf_header
    return header in request.headers or bool(form_token(request))


def _form_value(request: Any, name: str) -> str:
    if request.method in SAFE_METHODS or not endpoints.is_form(DjangoRequest(request)):
        return ""
    value: str = request.POST.get(name, "")
    return value
