"""The state of a process, as the kernel reports it."""

from pathlib import Path


def process_state(pid: int) -> str:
    """The state letter of process ``pid`` in /proc (Linux only); X if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
