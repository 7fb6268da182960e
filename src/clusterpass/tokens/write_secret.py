"""Writes a file with keys: all or nothing, for its owner only, and never over another file."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from clusterpass.model.errors import ConfigurationError

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def write_secret(path: Path, text: str) -> None:
    """Create the file ``path`` with mode 0600 and ``text`` in it.

    The text goes to a file beside it, which gets its name when it is on the disk. Raises
    ConfigurationError if the file exists already or cannot be written; nothing is left then.
    """
    try:
        beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
        with _removed_after(beside):
            _write(beside, text)
            _give_name(beside, path, text)
        _sync_folder(path.parent)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already and is not overwritten; choose another name"
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no such name"
        raise ConfigurationError(f"{path} cannot be created: {why}") from None


@contextmanager
def _removed_after(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _write(path: Path, text: str) -> None:
    # Created with its final mode: at no moment can others read it.
    descriptor = os.open(path, _NEW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise


def _give_name(beside: Path, path: Path, text: str) -> None:
    """Let ``path`` be the file ``beside``; raise FileExistsError where there is one already."""
    try:
        os.link(beside, path)  # unlike a renaming, it replaces nothing
    except FileExistsError:
        raise
    except OSError:  # the file system has no links
        beside.unlink()
        _write(path, text)


def _sync_folder(folder: Path) -> None:
    """Have the name on the disk too, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
