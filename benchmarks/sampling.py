"""Samples programs with ``perf``, and divides their CPU time among parts of the code."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PARTS: Final[Mapping[str, str]] = {
    "kernel": r"\[kernel|\[guest|\[vdso",
    "HTTP server": r"_granian",
    "event loop": r"loop\.cpython|_asyncio",
    "Python": r"libpython|^python|_struct|_json|binascii|marshal|math\.cpython|array\.cpython",
    "cryptography": r"_rust\.abi3|libcrypto|_hashlib|_sha|_blake",
    "hiredis": r"hiredis",
    "pydantic": r"_pydantic_core",
}
"""The parts, and the shared objects that belong to each."""
REST: Final = "C library, others"
_HERTZ: Final = 1999


@contextmanager
def sampling(perf: str, pids: Sequence[int], target: Path, seconds: float) -> Iterator[None]:
    """Sample processes for ``seconds``, and return when that is over; ``target``: a new file."""
    command = [
        *(perf, "record", "-q", "-F", str(_HERTZ), "-o", str(target)),
        *("-p", ",".join(map(str, pids)), "--", "sleep", str(seconds)),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.wait()


def shares_of(perf: str, samples: Path) -> dict[str, float]:
    """The share of each part, in all samples."""
    told = subprocess.run(
        [perf, "report", "-i", str(samples), "--sort", "dso", "--stdio", "-q"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shares = dict.fromkeys((*PARTS, REST), 0.0)
    for percent, name in re.findall(r"^\s*([\d.]+)%\s+(\S+)", told, re.M):
        part = next((part for part, known in PARTS.items() if re.search(known, name)), REST)
        shares[part] += float(percent)
    if not any(shares.values()):
        raise RuntimeError(f"perf has no samples: {told[-500:]}")
    return shares


def parts_of(seconds: float, shares: Mapping[str, float]) -> dict[str, float]:
    """Microseconds by part of what took ``seconds``."""
    total = sum(shares.values())
    return {part: seconds * 1e6 * shares[part] / total for part in (*PARTS, REST)}
