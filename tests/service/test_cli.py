"""The command line, as its user sees it."""

import json
import os
import stat
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from clusterpass import KeyRing

from .conftest import COMMAND, PASSWORD, command_environment


@pytest.fixture
def run(cluster_url, keys_file, tmp_path):
    def run(*arguments, text_in="", **environment):
        return subprocess.run(
            [*COMMAND, *arguments],
            env=command_environment(cluster_url, keys_file, **environment),
            input=text_in,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path,
        )

    return run


def test_help_and_version(run):
    assert run("--version").stdout.startswith("clusterpass, version ")
    shown = run("--help").stdout
    for name in ("cluster", "demo", "dev", "keys", "serve", "users"):
        assert name in shown
    assert run("nix").returncode == 2


def test_keys_are_made_for_their_owner_only_and_never_overwritten(run, tmp_path):
    made = run("keys", "generate")
    file = tmp_path / "keys.json"
    assert made.returncode == 0
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    secret = json.loads(file.read_text())["keys"][0]["d"]
    assert secret not in made.stdout + made.stderr
    before = file.read_text()
    again = run("keys", "generate", "--output", str(file))
    assert (again.returncode, file.read_text()) == (1, before)
    assert again.stderr.count("\n") == 1
    public = run("keys", "public", str(file))
    assert secret not in public.stdout
    assert json.loads(public.stdout)["keys"][0]["kty"] == "OKP"


def test_a_shared_secret_has_no_public_half(run):
    run("keys", "generate", "--algorithm", "HS256", "--output", "shared.json")
    outcome = run("keys", "public", "shared.json")
    assert (outcome.returncode, outcome.stdout) == (1, "")


def test_keys_in_pem_become_a_key_set(run, tmp_path):
    hidden = BestAvailableEncryption(b"of a passphrase")
    key, other = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    for name, text in (
        ("own.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)),
        ("other.pub", other.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)),
        ("phrase", b"of a passphrase\n"),
    ):
        (tmp_path / name).write_bytes(text)
        (tmp_path / name).chmod(0o600)
    run("keys", "generate", "--output", "old.json")
    old = KeyRing.load(tmp_path / "old.json").signing_key
    refused = run("keys", "import", "own.pem")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "is encrypted" in refused.stderr
    assert not (tmp_path / "keys.json").exists()
    files = ("own.pem", "other.pub", "old.json")
    done = run("keys", "import", *files, "--passphrase-file", "phrase")
    assert done.returncode == 0, done.stderr
    ring = KeyRing.load(tmp_path / "keys.json")
    assert [(each.algorithm, each.is_private) for each in ring.all()] == [
        ("ES256", True),
        ("EdDSA", False),
        ("EdDSA", True),
    ]
    assert ring.all()[2] == old
    assert [line.split()[-1] for line in done.stderr.splitlines()] == [k.kid for k in ring.all()]
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    again = run("keys", "import", "old.json")
    assert (again.returncode, KeyRing.load(tmp_path / "keys.json")) == (1, ring)
    assert "is not overwritten" in again.stderr


def test_a_key_file_that_others_can_read_is_refused(run, tmp_path):
    run("keys", "generate")
    (tmp_path / "keys.json").chmod(0o644)
    for command in (("keys", "public", "keys.json"), ("keys", "import", "keys.json")):
        outcome = run(*command)
        assert (outcome.returncode, outcome.stdout, outcome.stderr.count("\n")) == (1, "", 1)
        assert "run: chmod 600 keys.json" in outcome.stderr
    assert run("keys", "public", "keys.json", "--access", "any").returncode == 0


@pytest.mark.alternating
def test_users_from_adding_to_enabling(run, new_name):
    name = new_name()
    added = run("users", "add", name, "--password-stdin", text_in=PASSWORD + "\n")
    assert (added.returncode, added.stdout) == (0, f"added {name}\n")
    twice = run("users", "add", name, "--password-stdin", text_in=PASSWORD + "\n")
    assert (twice.returncode, twice.stderr.count("\n")) == (1, 1)
    assert run("users", "disable", name).stdout == f"disabled {name}, ended 0 sessions\n"
    listed = json.loads(run("users", "list", "--json").stdout)
    assert [user["disabled"] for user in listed if user["name"] == name] == [True]
    assert run("users", "enable", name).returncode == 0
    assert run("users", "passwd", name, "--password-stdin", text_in="87 moose").returncode == 0
    assert f"{name}\tenabled" in run("users", "list").stdout
    assert run("users", "disable", new_name()).returncode == 1


def test_a_short_password_is_refused_and_not_repeated(run, new_name):
    outcome = run("users", "add", new_name(), "--password-stdin", text_in="geheim\n")
    assert outcome.returncode == 1
    assert "8 characters" in outcome.stderr
    assert "geheim" not in outcome.stderr


def test_a_store_that_is_away_is_one_sentence(run):
    outcome = run(
        "users", "list", CLUSTERPASS_STORE_URL="redis://127.0.0.1:1?timeout=0.2&deadline=0.2"
    )
    assert (outcome.returncode, outcome.stderr.count("\n")) == (1, 1)
    assert "Traceback" not in outcome.stderr


def test_making_keys_loads_no_web_framework(run, tmp_path):
    script = (
        "import sys; sys.argv = ['clusterpass', 'keys', 'generate']\n"
        "from clusterpass.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'fastapi', 'granian', 'pydantic', 'argon2'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, check=True)


@pytest.mark.parametrize("package", ["click", "fastapi", "argon2"])
def test_a_missing_package_is_one_sentence(package, tmp_path):
    script = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['clusterpass', 'serve']\n"
        "from clusterpass.cli import main; main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    outcome = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1
    assert 'pip install "clusterpass[server]"' in outcome.stderr
    assert outcome.stderr.count("\n") == 1
