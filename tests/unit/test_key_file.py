"""Key files: permissions, and failures while they are written."""

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterpass import ConfigurationError, KeyFile, KeyRejected, KeyRing

RING = KeyRing.generate()
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "the keys.json"
    RING.save(made)
    return made


# Who may read it.


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o500])
def test_a_file_of_its_owner_alone_is_read(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert KeyRing.load(path) == RING


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o660, 0o601, 0o777, 0o666])
def test_a_file_that_others_can_use_is_refused_with_what_mends_it(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(KeyRejected) as caught:
        KeyRing.load(path)
    message = caught.value.message
    assert f"mode {mode:04o}" in message
    assert "keys_file_access" in message
    command = message[message.index("chmod") : message.index(" (in a Kubernetes")]
    assert command == f"chmod 600 '{path}'"
    subprocess.run(command, shell=True, check=True)
    assert KeyRing.load(path) == RING


def test_the_way_out(path: Path) -> None:
    path.chmod(0o644)
    assert KeyRing.load(path, access="any") == RING
    assert KeyFile(path, access="any").load() == RING
    with pytest.raises(ConfigurationError, match="keys_file_access"):
        KeyFile(path, access="every")  # type: ignore[arg-type]


def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if IS_ROOT:
        os.chown(path, 12_345, 12_345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(KeyRejected) as caught:
        KeyRing.load(path)
    message = caught.value.message
    assert f"belongs to the user {path.stat().st_uid}" in message
    assert f"chown {os.geteuid()} '{path}' && chmod 600 '{path}'" in message
    assert KeyRing.load(path, access="any") == RING


@pytest.mark.skipif(not IS_ROOT, reason="needs a file of root")
def test_a_group_may_read_a_file_of_root(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Kubernetes mounts a Secret with defaultMode 0440 and an fsGroup."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for mode in (0o440, 0o640, 0o400):
        path.chmod(mode)
        assert KeyRing.load(path) == RING
    for mode in (0o644, 0o660, 0o444):
        path.chmod(mode)
        with pytest.raises(KeyRejected, match=r"chmod 640 '.*keys\.json'.*defaultMode: 0440"):
            KeyRing.load(path)


def test_shared_secrets_are_private_too(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    KeyRing.generate("HS256").save(path)
    path.chmod(0o644)
    with pytest.raises(KeyRejected, match="open to other users"):
        KeyRing.load(path)


def test_public_keys_are_for_everybody_but_not_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(RING.public_jwks()))
    path.chmod(0o644)
    assert not KeyRing.load(path).can_sign
    path.chmod(0o666)
    with pytest.raises(KeyRejected, match="chmod o-w"):
        KeyRing.load(path)
    assert not KeyRing.load(path, access="any").can_sign


def test_a_link_counts_as_what_it_leads_to(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)
    assert KeyRing.load(link) == RING
    path.chmod(0o640 if not IS_ROOT else 0o644)
    with pytest.raises(KeyRejected, match="open to other users"):
        KeyRing.load(link)


def test_a_file_that_is_no_text_or_too_large_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(KeyRejected, match="larger than 1048576 bytes"):
        KeyRing.load(path)
    with pytest.raises(KeyRejected, match="cannot be read"):
        KeyRing.load(tmp_path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le"):
        mark = "\ufeff" if encoding == "utf-16-le" else ""
        path.write_bytes((mark + RING.private_jwks_text()).encode(encoding))
        path.chmod(0o600)
        assert KeyRing.load(path) == RING


# What has changed.


def test_a_change_is_told_once(path: Path) -> None:
    file = KeyFile(path)
    assert file.load() == RING
    assert file.load_if_changed() is None
    both = KeyRing([*KeyRing.generate().all(), *RING.all()])
    path.unlink()
    both.save(path)
    assert file.load_if_changed() == both
    assert file.load_if_changed() is None


def test_a_change_that_leaves_size_and_times_alone_is_seen(path: Path) -> None:
    file = KeyFile(path)
    file.load()
    before = path.stat()
    other = KeyRing.generate()
    text = other.private_jwks_text()
    assert len(text) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.load_if_changed() == other


@pytest.mark.parametrize("fault", ["gone", "cut", "empty", "open", "public half of another"])
def test_a_fault_is_told_once_and_so_is_its_end(path: Path, fault: str) -> None:
    file = KeyFile(path)
    file.load()
    text = path.read_text()
    if fault == "gone":
        path.unlink()
    elif fault == "open":
        path.chmod(0o666)
    else:
        path.write_text(
            {"cut": text[:-30], "empty": ""}.get(fault, text.replace('"x": "', '"x": "A'))
        )
    with pytest.raises(KeyRejected):
        file.load_if_changed()
    assert file.load_if_changed() is None
    path.unlink(missing_ok=True)
    RING.save(path)
    again = file.load_if_changed()
    assert again == RING


# Writing.


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk without space."""
    folder = tmp_path / "full"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=16k,mode=0700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    # The descriptor alone holds it from now on, so that a test that is killed leaves no mount.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    disk = Path(f"/proc/self/fd/{opened}")
    try:
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            with pytest.raises(OSError, match="No space left"):
                while ballast.write(bytes(4096)):
                    pass
        yield disk
    finally:
        os.close(opened)


def test_a_full_disk_leaves_nothing(full: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"keys\.json cannot be created: No space left"):
        RING.save(full / "keys.json")
    assert [each.name for each in full.iterdir()] == ["ballast"]
    (full / "ballast").unlink()
    RING.save(full / "keys.json")
    assert KeyRing.load(full / "keys.json") == RING


WRITE = "import sys; from clusterpass import KeyRing; KeyRing.generate().save(sys.argv[1])"


def test_a_file_that_may_not_grow_leaves_nothing(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path / "keys.json")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    assert outcome.returncode == 1
    assert "cannot be created: File too large" in outcome.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_or_no_folder_is_named(tmp_path: Path, path: Path) -> None:
    for where in (tmp_path / "no" / "keys.json", path / "keys.json", tmp_path / "a\0b"):
        with pytest.raises(ConfigurationError, match="cannot be created"):
            RING.save(where)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(IS_ROOT, reason="root may write anywhere")
def test_a_folder_without_the_right_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="cannot be created: Permission denied"):
        RING.save(tmp_path / "keys.json")
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for where in (path, tmp_path / "dangling", tmp_path / "folder"):
        with pytest.raises(ConfigurationError, match="exists already and is not overwritten"):
            KeyRing.generate().save(where)
    assert path.read_bytes() == before
    assert not (tmp_path / "nowhere").exists()
    assert {each.name for each in tmp_path.iterdir()} == {path.name, "dangling", "folder"}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_read_it_from_the_first_byte(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: modes.append(os.fstat(file).st_mode))
    before = os.umask(umask)
    try:
        RING.save(tmp_path / "keys.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE(modes[0]) == 0o600
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    RING.save(tmp_path / "keys.json")
    assert KeyRing.load(tmp_path / "keys.json") == RING
    with pytest.raises(ConfigurationError, match="exists already"):
        RING.save(tmp_path / "keys.json")
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


def test_a_file_that_became_a_pipe_is_refused_and_waited_for_by_nobody(path: Path) -> None:
    """A thread that opens it would wait for ever, and a service that stops would wait for that."""
    file = KeyFile(path)
    file.load()
    path.unlink()
    os.mkfifo(path)
    errors: list[Exception] = []

    def look() -> None:
        try:
            file.load_if_changed()
        except KeyRejected as error:
            errors.append(error)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(5)
    assert not looking.is_alive()
    assert len(errors) == 1
