"""The Django application of ClusterPass, for INSTALLED_APPS."""

from django.apps import AppConfig, apps
from django.core.checks import Tags, register

from clusterpass.integrations.django.checks import check_middleware, check_settings


class ClusterPassConfig(AppConfig):
    """``clusterpass.integrations.django``; it has no models and no migrations."""

    name = "clusterpass.integrations.django"
    label = "clusterpass"
    verbose_name = "ClusterPass"

    def ready(self) -> None:
        """Check the settings, and follow logins and logouts of ``django.contrib.auth``."""
        register(check_settings, Tags.security)
        register(check_middleware, Tags.security)
        if apps.is_installed("django.contrib.auth"):
            from clusterpass.integrations.django.signals import connect  # noqa: PLC0415 (models)

            connect()
