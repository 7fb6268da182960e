"""A site with Django's own logins, whose store is a real cluster, and its users."""

import itertools
from typing import Any

import pytest

from clusterpass.cli.local_setup import write_keys
from clusterpass.integrations.django import conf
from tests.integrations.django_site import configure

_numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def site(cluster_url: str, tmp_path_factory: pytest.TempPathFactory):
    keys_file = tmp_path_factory.mktemp("site") / "keys.json"
    write_keys(keys_file)
    configure(
        STORE_URL=f"{cluster_url}?namespace=django",
        ISSUER="https://site.example",
        KEYS_FILE=str(keys_file),
    )
    yield
    conf.forget()
    from django.db import connections

    connections.close_all()


@pytest.fixture
def user() -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_user(f"user{next(_numbers)}", password="pw")


@pytest.fixture
def root() -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_superuser(f"root{next(_numbers)}", password="pw")
