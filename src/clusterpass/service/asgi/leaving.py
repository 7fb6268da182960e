"""Asks clients to reconnect before a worker stops, while another worker takes its place.

A connection that is idle when its worker stops is closed. A request that the client sends at that
moment is lost, and the client cannot know whether it arrived (RFC 9112 section 9.3.1). Responses
therefore close their connections beforehand (``Connection: close``), and the client's next request
goes to the new worker.
"""

import asyncio
import signal
from typing import Final

from clusterpass.service.asgi.messages import Message, Scope, Send
from clusterpass.service.supervisor import WAITED

LEAVE: Final = signal.SIGUSR1
"""What a worker is sent that is about to be replaced."""
_CLOSE: Final = (b"connection", b"close")


class Leaving:
    """Whether this worker is about to be replaced."""

    def __init__(self) -> None:
        self.has_begun = False

    def heed(self) -> None:
        """Unblock the signals that the parent has blocked for this worker; and heed
        :data:`LEAVE`, where the event loop takes signals."""
        # The server has handlers for them by now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WAITED)
        try:
            asyncio.get_running_loop().add_signal_handler(LEAVE, self._begin)
        except (NotImplementedError, RuntimeError, ValueError):
            return  # not in the main thread, so that no supervisor runs this application

    def closing(self, scope: Scope, send: Send) -> Send:
        """Return ``send``, with the end of the connection asked for, if this worker leaves."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        return sent if scope.get("http_version") == "1.1" else send

    def _begin(self) -> None:
        self.has_begun = True
