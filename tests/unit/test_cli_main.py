"""The exit statuses and messages of the command line, and the keys that it generates."""

import errno
import io
import json
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clusterpass import KeyRing, UserNotFound, cli
from clusterpass.cli import COMMANDS
from clusterpass.cli.group import make_group
from clusterpass.model.errors import (
    ClusterPassError,
    RevocationPending,
    StoreDenied,
    StoreUnavailable,
)


@pytest.mark.parametrize("algorithm", [None, "ES256", "HS256"])
def test_keys_are_written_for_their_owner_alone(tmp_path: Path, algorithm: str | None) -> None:
    group, path = make_group(COMMANDS, version="1"), tmp_path / "keys.json"
    chosen = [] if algorithm is None else ["--algorithm", algorithm]
    arguments = ["keys", "generate", "--output", str(path), *chosen]
    outcome = CliRunner().invoke(group, arguments)
    key = KeyRing.load(path).signing_key
    assert outcome.stdout == ""
    assert outcome.stderr == (f"wrote one {algorithm or 'EdDSA'} key to {path}, key id {key.kid}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    again = CliRunner().invoke(group, arguments)
    assert "exists already and is not overwritten" in str(again.exception)
    assert path.read_text() == before
    public = CliRunner().invoke(group, ["keys", "public", str(path)])
    if algorithm == "HS256":
        assert "which has no public part" in str(public.exception)
        return
    (shown,) = json.loads(public.stdout)["keys"]
    assert shown["kid"] == key.kid
    assert "d" not in shown
    assert public.stdout.startswith('{\n  "keys"')


def test_keys_for_a_folder_that_is_not_there(tmp_path: Path) -> None:
    group = make_group(COMMANDS, version="1")
    path = tmp_path / "none" / "keys.json"
    outcome = CliRunner().invoke(group, ["keys", "generate", "--output", str(path)])
    assert str(outcome.exception) == f"{path} cannot be created: No such file or directory"


def test_keys_are_called_keys_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(make_group(COMMANDS, version="1"), ["keys", "generate"])
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (click.exceptions.Abort(), 130, "clusterpass: aborted\n"),
        (UserNotFound(), 1, f"clusterpass: {UserNotFound().message}\n"),
        (StoreUnavailable(), 1, f"clusterpass: {StoreUnavailable().message}\n"),
        (
            StoreUnavailable(node="h:1", cause="refused"),
            1,
            f"clusterpass: {StoreUnavailable().message} (h:1: the connection was refused)\n",
        ),
        (
            StoreDenied(node="h:1", cause="authentication"),
            1,
            f"clusterpass: {StoreDenied().message} (h:1: the user or the password is wrong)\n",
        ),
        (
            StoreDenied("no EVAL for this user", node="h:1", cause="rights"),
            1,
            "clusterpass: h:1: no EVAL for this user\n",
        ),
        (ClusterPassError("two\nlines  here"), 1, "clusterpass: two lines here\n"),
        (RevocationPending("0" * 16), 1, "clusterpass: the revocation is not confirmed: "),
        (
            click.ClickException("It is running\nalready."),
            1,
            "clusterpass: It is running already.\n",
        ),
        (click.UsageError("wrong"), 2, "Usage: clusterpass [OPTIONS]\n"),
        (
            ModuleNotFoundError("no", name="granian.server"),
            1,
            "clusterpass: this command needs the package granian.server; install it with: ",
        ),
        (None, 0, ""),
    ],
)
def test_the_status_of_an_error_and_its_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException | None,
    status: int,
    said: str,
) -> None:
    @click.command()
    def command() -> None:
        if raised is not None:
            raise raised

    monkeypatch.setattr("clusterpass.cli.group.make_group", lambda *_, **__: command)
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == status
    assert capsys.readouterr().err.startswith(said)


def test_a_module_of_ours_that_is_missing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        raise ModuleNotFoundError("no", name="clusterpass.nothing")

    monkeypatch.setattr("clusterpass.cli.group.make_group", lambda *_, **__: command)
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(ModuleNotFoundError):
        cli.main()


@pytest.mark.parametrize("arguments", [["--help"], ["capacity", "--users", "9", "--json"]])
def test_an_output_without_room_is_one_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        outcome = subprocess.run(
            [sys.executable, "-m", "clusterpass", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert outcome.stderr == (
        "clusterpass: standard output cannot be written: No space left on device\n"
    )
    assert outcome.returncode == 1


def test_another_error_of_the_system_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    monkeypatch.setattr("clusterpass.cli.group.make_group", lambda *_, **__: command)
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(ConnectionRefusedError):
        cli.main()


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> int:
        sys.stdout.write("é")
        sys.stdout.flush()
        return 4

    raw = io.BytesIO()
    monkeypatch.setattr("clusterpass.cli.group.make_group", lambda *_, **__: command)
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert (exited.value.code, raw.getvalue()) == (4, b"\\xe9")


@pytest.mark.parametrize(
    "command", ["", *sorted(set(COMMANDS) - {"demo", "dev", "doctor", "migration"})]
)
def test_help_loads_nothing_of_what_the_command_runs(command: str) -> None:
    code = (
        "import sys\n"
        "from clusterpass.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split(), "--help"],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & {"asyncio", "redis", "joserfc", "pydantic", "granian", "fastapi", "argon2"}
