"""A network of a test's own: addresses of both families, and some where packets vanish.

The thread that enters it, and what that starts, are in a network namespace of Linux; everything
else on this machine notices nothing. It takes the rights of root.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET of sched.h
SILENT: Final = ("10.99.0.2", "fd01::2")
"""Where nobody answers, and no error tells of it: one address of each family."""


def why_not() -> str | None:
    """Why there can be none here; None: there can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "a network of one's own needs root"
    if shutil.which("ip") is None:
        return "needs the program ip (iproute2)"
    try:
        with own_network():
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespace: {error}"


@contextmanager
def own_network() -> Iterator[None]:
    """Enter a network in which only this thread and its children are; leave it at the end."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            run("ip link set lo up")
            run("ip link add away type veth peer name nowhere")
            run("ip link set away up")
            run("ip link set nowhere up")
            run("ip addr add 10.99.0.1/24 dev away")
            run("ip -6 addr add fd01::1/64 dev away nodad")
            for address in SILENT:
                run(f"ip neigh replace {address} lladdr 02:00:00:00:00:02 dev away")
            yield
        finally:
            if libc.setns(before, _NEW_NETWORK) != 0:
                raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(before)


def run(command: str) -> None:
    """Run a command of this module's or a test's."""
    subprocess.run(command.split(), check=True, capture_output=True, timeout=30)


def add_address(address: str) -> None:
    """Give the loopback device another address."""
    family = "-6" if ":" in address else "-4"
    run(f"ip {family} addr add {address}/{128 if ':' in address else 32} dev lo")


def remove_address(address: str) -> None:
    """Take an address from the loopback device."""
    family = "-6" if ":" in address else "-4"
    run(f"ip {family} addr del {address}/{128 if ':' in address else 32} dev lo")
