"""An authentication backend that limits how many passwords are tried, wherever they are checked."""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest

from clusterpass.integrations.django.request_state import find_state, named_in
from clusterpass.model.errors import TooManyAttempts
from clusterpass.web.flow import run


class LoginThrottle:
    """Comes first in ``AUTHENTICATION_BACKENDS``, and leaves the password to the others.

    What ``authenticate(request, ...)`` is called for is counted, in the admin and in ``LoginView``
    too; a call without a request that came through ClusterPassMiddleware is not. The attempt is
    given back when a session is opened for the user.
    """

    # No BaseBackend: that has a get_user, for which force_login would choose it.

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Count the attempt, and return None.

        Raises TooManyAttempts, which the middleware answers with 429 and Retry-After, and
        InvalidCredentials for a name that no account can have.
        """
        state = None if request is None else find_state(request)
        username = named_in(credentials)
        if state is None or username is None:
            return
        here = state.installed
        try:
            run(here.throttle(), here.attempts.count(state.visit, username))
        except TooManyAttempts as error:
            state.note_refusal(username, error.code)
            raise

    async def aauthenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Count the attempt, as :meth:`authenticate` does, on a thread."""
        await sync_to_async(self.authenticate)(request, **credentials)
