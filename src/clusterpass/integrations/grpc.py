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

- Requirements are listed in one table by method name, not in decorators: the interceptor is given
  the name before it knows the function, generated servicers and those of other packages (health,
  reflection) need no change, and a reviewer sees at a glance who may call what.
- A method that is not listed requires a session, so forgetting one does not leave it open.
- A streaming call ends when its session ends, whichever process ends it.
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
