"""Each runbook has the same sections, and names tests that rehearse it."""

import ast
import re

import pytest

from tests.docs.reference import FOLDER

HOWTO = FOLDER.parent / "howto"
RUNBOOKS = sorted(set((HOWTO / "runbooks").glob("*.md")) - {HOWTO / "runbooks" / "README.md"})
_REHEARSAL = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_has_its_sections(page):
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.M) == ["Recognise", "Act", "Check", "Rehearsed by"]


@pytest.mark.parametrize("page", [*RUNBOOKS, HOWTO / "backup.md"], ids=lambda page: page.stem)
def test_a_runbook_is_rehearsed(page):
    rehearsals = _REHEARSAL.findall(page.read_text("utf-8"))
    assert rehearsals
    for name, target in rehearsals:
        tree = ast.parse((page.parent / target).resolve().read_text("utf-8"))
        assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


def test_every_runbook_is_in_the_list():
    listed = (HOWTO / "runbooks" / "README.md").read_text("utf-8")
    assert all(f"]({page.name})" in listed for page in RUNBOOKS)


@pytest.mark.parametrize("page", [*RUNBOOKS, HOWTO / "backup.md"], ids=lambda page: page.stem)
def test_the_commands_of_a_runbook_are_commands(page):
    import click

    from clusterpass.cli import COMMANDS
    from clusterpass.cli.group import make_group

    for line in re.findall(
        r"(?:^ {7}|^|`)(clusterpass [a-z][^`#\n]*)", page.read_text("utf-8"), re.M
    ):
        command, context = make_group(COMMANDS, version="1"), None
        for word in line.split()[1:]:
            if not isinstance(command, click.Group):
                break
            context = click.Context(command, parent=context)
            command = command.get_command(context, word)
            assert command is not None, line
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in line.split() if word.startswith("--")} <= options, line


def test_what_operators_are_told_about_checks_are_checks():
    from clusterpass.doctor import CHECKS

    for page in [*RUNBOOKS, HOWTO / "backup.md"]:
        text = page.read_text("utf-8")
        assert set(re.findall(r"doctor\.md#([\w-]+)", text)) <= set(CHECKS)
        assert set(re.findall(r"(?:reports|mention) `([\w-]+)`", text)) <= set(CHECKS)


@pytest.mark.parametrize(
    "page",
    [
        *("three-hosts.md", "monitor.md", "runbooks/key-leaked.md", "delete-user.md"),
        *("backup.md", "upgrade.md"),
    ],
)
def test_a_page_of_operations_has_a_picture_and_a_test(page):
    text = (HOWTO / page).read_text("utf-8")
    (picture,) = re.findall(r"^!\[[^\]]+\]\(([^)]+)\)$", text, re.M)
    assert (HOWTO / page).parent.joinpath(picture).resolve().is_file()
    tests = re.findall(r"\]\(([^)]+/tests/[^)]+)\)", text)
    assert tests and all((HOWTO / page).parent.joinpath(test).resolve().exists() for test in tests)
