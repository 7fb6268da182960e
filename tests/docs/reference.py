"""Makes the pages of docs/reference that follow from the code.

Run it as ``python -m tests.docs.reference``.
"""

import sys
from pathlib import Path

import click

from clusterpass import __version__
from clusterpass.cli import COMMANDS
from clusterpass.cli.exit_status import MEANINGS
from clusterpass.cli.group import make_group
from clusterpass.doctor import CHECKS
from clusterpass.metrics.families import FAMILIES
from clusterpass.model.counters import BOUNDS
from clusterpass.service.settings.loading import PREFIX
from clusterpass.service.settings.service import Settings
from tests.docs.errors_page import errors_page

_MADE_FROM_HERE = "<!-- What follows is made by: python -m tests.docs.reference -->"
_COMMAND_LINE = """\
# Command line

<!-- Made by: python -m tests.docs.reference -->

**For programs**, `--json` prints JSON on standard output, also where the answer is no. Errors are
one sentence on standard error. `serve` and `dev`, which run until they are stopped, have no
`--json`; `keys public` prints JSON anyway. [Exit statuses](#exit-status) are the same for all
commands.

**For people**, `clusterpass COMMAND --help` ends with examples, and a misspelt command is answered
with those that are alike. Colours are used on a terminal only, and never if `NO_COLOR` is set.

**Completion** of commands and options, in bash (with the package bash-completion), zsh and fish:

```sh
clusterpass completion bash --install
clusterpass completion zsh --install      # prints a line for ~/.zshrc
clusterpass completion fish --install
```

**Manual pages**: `make man` writes one for each command into `build/man`.
`man -l build/man/clusterpass.1` shows the first, and
`install -m 0644 build/man/*.1 /usr/local/share/man/man1/` installs them.
"""
FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def settings_page() -> str:
    """docs/reference/settings.md."""
    lines = [
        "# Settings of the service",
        "",
        "<!-- Made by: python -m tests.docs.reference -->",
        "",
        "Each setting is read from the environment, under the name in the first column, or from a",
        "TOML file (`--config FILE` or `CLUSTERPASS_CONFIG`), under the same name in lower case",
        "without the prefix. The environment takes precedence. `clusterpass serve` does not start",
        "with an invalid setting, and says which one it is. Neither does it with a misspelt one:",
        "`CLUSTERPASS_PROT` is refused with a hint at `CLUSTERPASS_PORT`. Durations are seconds.",
        "",
        "`clusterpass config show` prints each setting with its value and where that comes from;",
        "`clusterpass config check` says, without starting, whether the service would start.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default
        if hasattr(default, "get_secret_value"):
            default = default.get_secret_value()
        shown = "" if default in (None, "", ()) else f"`{default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """docs/reference/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "<!-- Made by: python -m tests.docs.reference -->",
        "",
        "[How to monitor](../howto/monitor.md) says how Prometheus gets them. The service adds up",
        "the counters and histograms of all its workers, those that have ended included. The",
        "column *workers* says what it makes of a gauge: the sum, the maximum or the minimum of",
        "the workers that live. The buckets of histograms end at",
        f"{', '.join(f'{bound:g}' for bound in BOUNDS)} seconds.",
        "",
        "| metric | type | labels | unit | workers | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        merge = family.merge.removeprefix("live") if family.kind == "gauge" else "sum"
        meaning = f"{family.help} Of the service alone." if family.in_service else family.help
        cells = (f"`{family.name}`", family.kind, labels, family.unit, merge, meaning)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """docs/reference/cli.md."""
    lines = [*_COMMAND_LINE.splitlines(), ""]
    lines += ["## Exit status", "", "| status | meaning |", "|---|---|"]
    lines += [f"| {int(status)} | {meaning} |" for status, meaning in MEANINGS.items()]
    lines.append("")
    group = make_group(COMMANDS, version=__version__)
    _describe(group, "clusterpass", None, lines)
    return "\n".join(lines).rstrip() + "\n"


def _describe(
    command: click.Command, name: str, parent: click.Context | None, lines: list[str]
) -> None:
    context = click.Context(command, parent=parent, info_name=name.rsplit(" ", 1)[-1])
    context.terminal_width = 90
    context.max_content_width = 90
    lines += [f"## `{name}`", "", "```", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                _describe(found, f"{name} {child}", context, lines)


def doctor_page() -> str:
    """docs/reference/doctor.md: its beginning is written by hand, the checks are listed."""
    head, mark, _ = (FOLDER / "doctor.md").read_text("utf-8").partition(_MADE_FROM_HERE)
    lines = [head.rstrip(), "", mark, ""]
    modules = dict.fromkeys(check.function.__module__ for check in CHECKS.values())
    for module in modules:
        about = (sys.modules[module].__doc__ or "").splitlines()[0].rstrip(".")
        lines += [f"## {about}", ""]
        for check in CHECKS.values():
            if check.function.__module__ == module:
                lines += [f"### {check.id}", "", f"{check.title}.", "", check.breaks, ""]
    return "\n".join(lines).rstrip() + "\n"


PAGES = {
    "settings.md": settings_page,
    "cli.md": commands_page,
    "doctor.md": doctor_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (FOLDER / page).write_text(make(), "utf-8")
