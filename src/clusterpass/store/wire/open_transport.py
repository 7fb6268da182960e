"""Opens the transport of a connection: through TCP or a Unix socket, with or without TLS."""

import asyncio
import ssl
from collections.abc import Callable

from clusterpass.store.address import Address, is_literal
from clusterpass.store.wire.tcp_dial import dial_in_loop, keep_alive


async def open_transport(
    protocol: asyncio.Protocol,
    target: Address,
    *,
    tls: tuple[ssl.SSLContext, str] | None,
    seconds: float,
    reached: Callable[[], None],
) -> None:
    """Connect ``protocol`` to ``target``.

    ``tls``: the context, and the name that the certificate has to bear; ``seconds``: how long the
    caller will wait; ``reached``: called before TLS is negotiated. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    if target.is_socket:
        await loop.create_unix_connection(lambda: protocol, target.host)
        return
    if tls is None and is_literal(target.host):
        transport, _ = await loop.create_connection(lambda: protocol, target.host, target.port)
        keep_alive(transport.get_extra_info("socket"))
        return
    dialled = await dial_in_loop(target.host, target.port, seconds)
    reached()
    context, name = (None, None) if tls is None else tls
    # The transport owns the socket from now on, and closes it where the handshake fails.
    await loop.create_connection(lambda: protocol, sock=dialled, ssl=context, server_hostname=name)
