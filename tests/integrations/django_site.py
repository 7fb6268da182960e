"""A site in Django with the admin, pages and an API; its settings are those of the process."""

from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

OURS = "clusterpass.integrations.django.middleware.ClusterPassMiddleware"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    OURS,
]


def claims_of(user: Any) -> dict[str, Any]:
    return {"scope": "orders:* report" if user.is_staff else "orders:read"}


def configure(**clusterpass: Any) -> None:
    """Make this process a process of the site, with a database of its own.

    Where it is one already, because of another file, only what is given changes.
    """
    ours = {
        "CLAIMS": "tests.integrations.django_site.claims_of",
        "COOKIE_SECURE": False,
        **clusterpass,
    }
    if settings.configured:
        settings.CLUSTERPASS = ours
        return
    settings.configure(
        SECRET_KEY="secret",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.integrations.django_views",
        LOGIN_URL="/login/",
        LOGIN_REDIRECT_URL="/who",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "rest_framework",
            "clusterpass.integrations.django",
        ],
        MIDDLEWARE=MIDDLEWARE,
        CLUSTERPASS=ours,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [
                "clusterpass.integrations.drf.SessionAuthentication"
            ],
            "EXCEPTION_HANDLER": "clusterpass.integrations.drf.exception_handler",
        },
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": "file:site?mode=memory&cache=shared",
            }
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
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
    django.setup()
    call_command("migrate", verbosity=0)
