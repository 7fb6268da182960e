"""The output of installing completion; tests/cli asks the shells what it completes."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clusterpass.cli.completion import completion


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", "bash-completion/completions/clusterpass"),
        ("zsh", "zsh/site-functions/_clusterpass"),
        ("fish", "fish/completions/clusterpass.fish"),
    ],
)
def test_who_installs_it_is_told_what_is_left_to_do(tmp_path: Path, shell: Any, file: str) -> None:
    folders = {"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = CliRunner().invoke(completion, [shell, "--install"], env=folders)
    assert done.exit_code == 0
    path = tmp_path / file
    assert "clusterpass" in path.read_text("utf-8")
    told = [f"Wrote {path}.", "Open a new shell to use it."]
    if shell == "zsh":
        told[1:1] = [
            "Put this into ~/.zshrc, before compinit:",
            f"    fpath=({path.parent} $fpath)",
        ]
    assert done.output.splitlines() == told
