"""ClusterPass in Django: an application with middleware, decorators, signals, URLs and a command.

INSTALLED_APPS += ["clusterpass.integrations.django"]
MIDDLEWARE += ["clusterpass.integrations.django.middleware.ClusterPassMiddleware"]  # at the end
CLUSTERPASS = {"STORE_URL": ..., "CLAIMS": "shop.auth.claims_of"}
urlpatterns += [path("auth/", include("clusterpass.integrations.django.urls"))]

@session_required(scope="orders:read")
def orders(request):
    return JsonResponse({"subject": request.clusterpass_session.subject})

Whoever logs in with ``django.contrib.auth``, in the admin too, gets a session, and is logged out of
Django when that session ends, wherever it is ended. ``clusterpass.integrations.drf`` is for Django
REST framework.
"""

from clusterpass.integrations.django.conf import sessions, subject_of
from clusterpass.integrations.django.decorators import session_required
from clusterpass.integrations.django.login import acting, log_in, respond

__all__ = ["acting", "log_in", "respond", "session_required", "sessions", "subject_of"]
