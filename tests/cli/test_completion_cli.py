"""Shell completion, tested in real shells."""

import os
import shutil
import subprocess
import sys

import pytest

from .conftest import assert_refused

SHELLS = ("bash", "zsh", "fish")
ASKING = {
    # What a shell does when Tab is pressed behind these words.
    "bash": 'source "$SCRIPT"; COMP_WORDS=($WORDS); COMP_CWORD=$((${#COMP_WORDS[@]} - 1));'
    ' _clusterpass_completion clusterpass; printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": 'compdef() { }; _describe() { print -l -- "${completions_with_descriptions[@]}" };'
    ' compadd() { print -l -- "${completions[@]}" };'
    ' source "$SCRIPT"; words=(${=WORDS}); CURRENT=${#words}; _clusterpass_completion',
    "fish": "source $SCRIPT; complete -C $WORDS",
}


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; make test-setup installs it")
    return found


@pytest.fixture
def ask(tmp_path, run):
    """Return the completions that a shell offers after some words."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "clusterpass"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m clusterpass "$@"\n')
    program.chmod(0o755)

    def asked(name: str, words: str) -> set[str]:
        script = tmp_path / f"script.{name}"
        script.write_text(run("completion", name).stdout)
        done = subprocess.run(
            [shell(name), "-c", ASKING[name]],
            env={
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "SCRIPT": str(script),
                "WORDS": words,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.replace("\t", ":").splitlines()
        return {line.split(":")[0] for line in lines if line}

    return asked


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", SHELLS)
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("clusterpass se", {"serve", "sessions"}),
        ("clusterpass sessions revoke", {"revoke", "revoke-before"}),
        ("clusterpass doctor --wa", {"--watch"}),
        ("clusterpass completion f", {"fish"}),
    ],
)
def test_a_shell_completes(ask, name, words, offered):
    assert ask(name, words) == offered


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("bash", "data/bash-completion/completions/clusterpass"),
        ("zsh", "data/zsh/site-functions/_clusterpass"),
        ("fish", "config/fish/completions/clusterpass.fish"),
    ],
)
def test_it_is_installed_where_the_shell_looks(run, tmp_path, name, file):
    places = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = run("completion", name, "--install", **places)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / file).read_text().strip() == run("completion", name).stdout.strip()
    assert str(tmp_path / file) in done.stdout
    told = f"fpath=({(tmp_path / file).parent} $fpath)"
    assert (told in done.stdout) == (name == "zsh")


def test_without_variables_it_is_below_home(run, tmp_path):
    done = run("completion", "fish", "--install", HOME=str(tmp_path), XDG_CONFIG_HOME="")
    assert done.returncode == 0
    assert (tmp_path / ".config/fish/completions/clusterpass.fish").is_file()


def test_a_folder_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("completion", "bash", "--install", XDG_DATA_HOME=str(tmp_path / "file"))
    assert_refused(done, saying="cannot be written")
