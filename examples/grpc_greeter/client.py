"""A client of the greeter: logs in, says hello, follows a stream; server.py says how to run it."""

import os
import sys

import grpc


def main(name: str, password: str, wish: str) -> None:
    with grpc.insecure_channel(os.environ.get("GREETER", "127.0.0.1:50051")) as channel:
        try:
            token = unary(channel, "LogIn")(f"{name}\n{password}".encode())
            metadata = (("authorization", f"Bearer {token.decode()}"),)
            print(unary(channel, "Hello")(b"", metadata=metadata).decode(), flush=True)
            if wish == "logout":
                print(unary(channel, "LogOut")(b"", metadata=metadata).decode())
            else:
                for number in stream(channel, "Count")(b"", metadata=metadata):
                    print(number.decode(), flush=True)
        except grpc.RpcError as refusal:
            print(f"{refusal.code().name}: {refusal.details()}")


# A generated GreeterStub has a method for each of these.
def unary(channel: grpc.Channel, name: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary(f"/greeter.Greeter/{name}")


def stream(channel: grpc.Channel, name: str) -> "grpc.UnaryStreamMultiCallable[bytes, bytes]":
    return channel.unary_stream(f"/greeter.Greeter/{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
