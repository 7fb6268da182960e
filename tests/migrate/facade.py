"""The asynchronous manager that accepts old tokens, behind the verbs of the synchronous one."""

from typing import Any

from clusterpass import (
    Config,
)
from clusterpass.migrate import (
    AsyncMigratingSessionManager,
)
from tests.cluster.conftest import Facade


class Async(Facade):
    """The asynchronous manager, each verb run to its end."""

    async def _open(self, url: str, config: Config) -> Any:
        return AsyncMigratingSessionManager.from_url(url, config)

    def accept(self, *issuers: Any, user_of: Any = None, look_up: Any = None, **more: Any) -> None:
        def awaitable(function: Any) -> Any:
            async def call(argument: Any) -> Any:
                return function(argument)

            return function and call

        self.manager.accept(
            *issuers, user_of=awaitable(user_of), look_up=awaitable(look_up), **more
        )
