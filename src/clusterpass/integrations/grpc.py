"""ClusterPass in gRPC servers: interceptors for servers on threads and on an event loop.

interceptor = SessionInterceptor(
    sessions,
    needs={
        "/shop.Orders/*": requires("orders:read"),
        "/shop.Orders/Pay": requires("orders:write", max_auth_age=300),
    },
    public=("/grpc.health.v1.Health/*",),
)
server = grpc.server(ThreadPoolExecutor(32), interceptors=[interceptor])

- What methods require is said in one place, by the names that the protocol has, and not by a
  decorator on a method: an interceptor is given the name of a method before it knows the function,
  generated servicers and those of other packages (health, reflection) need no change, and a
  reviewer sees in one table who may call what.
- A method that no line names requires a session, so one that was forgotten is not open.
- A call with a stream ends with its session, whichever process ends it.
"""

from clusterpass.integrations.grpc_aio import AsyncSessionInterceptor
from clusterpass.integrations.grpc_calls import current_session, requires
from clusterpass.integrations.grpc_threads import SessionInterceptor
from clusterpass.web.gate import Needs

__all__ = [
    "AsyncSessionInterceptor",
    "Needs",
    "SessionInterceptor",
    "current_session",
    "requires",
]
