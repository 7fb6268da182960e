"""A greeter that knows who calls, and counts for its callers until they log out.

Set up a cluster, a key and a user as examples/README.md says. Then run

python examples/grpc_greeter/server.py
python examples/grpc_greeter/client.py alice PASSWORD follow
python examples/grpc_greeter/client.py alice PASSWORD logout
"""

import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from clusterpass import Config, KeyRing, SessionManager, UserDirectory
from clusterpass.integrations.grpc import SessionInterceptor, current_session

config = Config(issuer="https://hello.example", keys=KeyRing.load(os.environ["KEYS_FILE"]))
sessions = SessionManager.from_url(os.environ["STORE_URL"], config)
users = UserDirectory(sessions)


class Greeter:  # or a class derived from your generated GreeterServicer
    def log_in(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        name, password = request.decode().split("\n")
        return users.login(name, password).access_token.encode()

    def hello(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        return f"Hello, {current_session().subject}!".encode()

    def count(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for number in itertools.count():
            yield str(number).encode()
            time.sleep(1)

    def log_out(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        ended = sessions.revoke_all(current_session().subject, reason="logged out elsewhere")
        return f"{ended.count} sessions have ended".encode()


def main() -> None:
    greeter = Greeter()
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "LogIn": grpc.unary_unary_rpc_method_handler(greeter.log_in),
        "Hello": grpc.unary_unary_rpc_method_handler(greeter.hello),
        "Count": grpc.unary_stream_rpc_method_handler(greeter.count),
        "LogOut": grpc.unary_unary_rpc_method_handler(greeter.log_out),
    }
    interceptor = SessionInterceptor(sessions, public=["/greeter.Greeter/LogIn"])
    server = grpc.server(ThreadPoolExecutor(32), interceptors=[interceptor])
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("greeter.Greeter", methods)]
    )
    server.add_insecure_port(os.environ.get("GREETER", "127.0.0.1:50051"))  # elsewhere: use TLS
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
