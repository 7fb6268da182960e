"""An administrator, and a service that knows them."""

import pytest

from clusterpass import SessionManager

from ..conftest import PASSWORD
from .calls import Administrator


@pytest.fixture
def manager(directory) -> SessionManager:
    """Another program on the same store, with the same keys."""
    return directory._sessions


@pytest.fixture
def root(directory, new_name) -> str:
    """The name of an administrator."""
    name = new_name()
    directory.add(name, PASSWORD)
    return name


@pytest.fixture
async def office(start, settings, root):
    """A service with an administrator."""
    return await start(settings.model_copy(update={"administrators": (root,)}))


@pytest.fixture
async def admin(office, root):
    return Administrator(office, await office.login(root))
