"""``clusterpass config``: what is shown, what is hidden, and what is refused."""

import json
import os
import subprocess

import pytest

from clusterpass import KeyRing, UserDirectory
from clusterpass.service.settings.service import Settings

from ..service.conftest import COMMAND, command_environment
from .conftest import assert_refused

SECRET = "redis+cluster://auth:very-hidden@10.0.0.1:7000?namespace=also-hidden"


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "clusterpass.toml"
    path.write_text('port = 9000\nissuer = "https://auth.example"\nhosts = "a.example"\n')
    return path


def test_each_setting_is_shown_with_its_source(run, toml):
    done = run("config", "show", "--config", str(toml), "--json", CLUSTERPASS_PORT="9100")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert set(shown) == set(Settings.model_fields)
    assert shown["port"] == {"value": 9100, "source": "environment"}
    assert shown["issuer"] == {"value": "https://auth.example", "source": "file"}
    assert shown["hosts"] == {"value": ["a.example"], "source": "file"}
    assert shown["workers"] == {"value": 1, "source": "default"}


def test_what_is_shown_to_people(run, toml):
    done = run("config", "show", "--set", "--config", str(toml))
    lines = {tuple(line.split()) for line in done.stdout.splitlines()}
    assert ("SETTING", "VALUE", "SOURCE") in lines
    assert ("port", "9000", "file") in lines
    assert ("hosts", "a.example", "file") in lines
    assert not [line for line in lines if line[-1] == "default"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_no_secret_is_shown(run, options):
    done = run("config", "show", *options, CLUSTERPASS_STORE_URL=SECRET)
    assert "10.0.0.1" in done.stdout
    assert "hidden" not in done.stdout + done.stderr


def test_settings_that_work_pass(process, tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(KeyRing.generate().private_jwks_text())
    keys.chmod(0o600)
    done = process("config", "check", CLUSTERPASS_KEYS_FILE=str(keys))
    assert (done.returncode, done.stdout) == (0, "The settings are valid.\n"), done.stderr


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"CLUSTERPASS_PORT": "none"}, "CLUSTERPASS_PORT"),
        ({"CLUSTERPASS_PROT": "80"}, "did you mean CLUSTERPASS_PORT?"),
        ({"CLUSTERPASS_KEYS_FILE": "none.json"}, "none.json"),
        ({"CLUSTERPASS_PASSWORD_CHECK": "no_module_of_ours:check"}, "no_module_of_ours"),
        (
            {
                "CLUSTERPASS_AUTHZ_POLICY": "none.toml",
                "CLUSTERPASS_TRUSTED_PROXIES": "127.0.0.1",
            },
            "none.toml",
        ),
        ({"CLUSTERPASS_HOST": "192.0.2.1"}, "host: cannot listen on 192.0.2.1"),
        (
            {"CLUSTERPASS_METRICS_ADDRESS": "192.0.2.1:9464"},
            "metrics_address: cannot listen on 192.0.2.1",
        ),
        (
            {"CLUSTERPASS_AUTHZ_GRPC_ADDRESS": "nobody.invalid:9001"},
            "authz_grpc_address: nobody.invalid cannot be resolved",
        ),
        (
            {
                "CLUSTERPASS_SMTP_HOST": "localhost",
                "CLUSTERPASS_MAIL_FROM": "auth@example.org",
                "CLUSTERPASS_SMTP_CA_FILE": os.devnull,
            },
            f"smtp_ca_file: {os.devnull} cannot be used",
        ),
        ({"CLUSTERPASS_TRUSTED_PROXIES": "10.0.0.1/8"}, "write 10.0.0.0/8"),
        ({"CLUSTERPASS_TRUSTED_PROXIES": "proxy"}, "'proxy' is neither"),
    ],
)
def test_what_would_not_start_is_refused(run, tmp_path, variables, problem):
    keys = tmp_path / "keys.json"
    keys.write_text(KeyRing.generate().private_jwks_text())
    keys.chmod(0o600)
    variables = {"CLUSTERPASS_KEYS_FILE": str(keys), **variables}
    assert_refused(run("config", "check", **variables), saying=problem)
    done = run("config", "check", "--json", **variables)
    said = json.loads(done.stdout)
    assert (done.returncode, said["valid"]) == (1, False)
    assert problem in said["problem"]


def test_a_pipe_holds_the_settings_for_the_whole_command(tmp_path, url, manager):
    """Whatever a command reads twice would come from the defaults, another store among it."""
    UserDirectory(manager).add("alice", "correct horse battery")
    for arguments, told in (
        (("config", "show", "--set"), "https://piped.example"),
        (("users", "list"), "alice"),
    ):
        piped = f"store_url = '{url}'\nissuer = 'https://piped.example'\n"
        environment = command_environment("", tmp_path / "no-keys.json")
        del environment["CLUSTERPASS_STORE_URL"]
        done = subprocess.run(
            [*COMMAND, *arguments],
            env={**environment, "CLUSTERPASS_CONFIG": "/dev/stdin"},
            input=piped,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert told in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("content", "saying"),
    [
        (b"issuer = '\xff'", "is not text in UTF-8"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "is not valid TOML"),
        (b"#" * (1 << 20) + b"#", "larger than a mebibyte"),
    ],
)
def test_a_file_that_holds_no_settings(run, tmp_path, content, saying):
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    assert_refused(run("config", "check", "--config", str(file)), saying=saying)


def test_a_byte_order_mark_does_no_harm(run, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_bytes(b"\xef\xbb\xbfport = 9000\r\n")
    assert "9000" in run("config", "show", "--set", "--config", str(file)).stdout


def test_a_file_that_is_not_there(run, tmp_path):
    for command in ("check", "show"):
        done = run("config", command, "--config", str(tmp_path / "none.toml"))
        assert_refused(done, saying="none.toml does not exist")


def test_every_setting_that_is_a_secret_is_hidden():
    from pydantic import SecretStr

    from clusterpass.cli.config import _without_secrets
    from clusterpass.service.settings.loading import make_settings

    defaults = make_settings({})
    secrets = {
        name
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert {"store_url", "keys_passphrase", "refresh_secrets"} <= secrets
    hidden = dict.fromkeys(secrets, SecretStr("very-hidden"))
    hidden["store_url"] = SecretStr("redis://user:very-hidden@10.0.0.1")
    shown = _without_secrets(defaults.model_copy(update=hidden))
    assert "very-hidden" not in json.dumps(shown)
    assert shown["store_url"] == "redis://user:***@10.0.0.1"
