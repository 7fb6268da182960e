"""The table of login sessions that the shop keeps beside the tables of Simple JWT."""

from django.conf import settings
from django.db import models


class LoginSession(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    device = models.CharField(max_length=128)
    ended = models.BooleanField(default=False)
