"""``POST refresh``, ``POST logout``, ``POST logout-all``, ``GET devices``, ``DELETE devices/ID``.

path("auth/", include("clusterpass.integrations.django.urls"))
"""

from typing import Final

from django.urls import path

from clusterpass.integrations.django import views

app_name: Final = "clusterpass"
urlpatterns = [
    path("refresh", views.refresh, name="refresh"),
    path("logout", views.logout, name="logout"),
    path("logout-all", views.logout_all, name="logout-all"),
    path("devices", views.devices, name="devices"),
    path("devices/<str:session_id>", views.end_device, name="device"),
]
