"""The files that make up the project around the code agree with each other and with the code."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from clusterpass.protocol.records import LIVE_SCHEMA, TOMBSTONE_SCHEMA

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/clusterpass/clusterpass"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
FORMS = [
    path for path in sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")) if path.stem != "config"
]
TEXTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/*.md")),
    *sorted(ROOT.glob(".github/**/*.*")),
    ROOT / "pyproject.toml",
]

pytestmark = pytest.mark.skipif(
    (ROOT / "PKG-INFO").exists(), reason="a source distribution holds no workflow"
)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.M))


def recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.M)
    assert found, target
    return found[1]


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text("utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def pythons_of_the_workflow() -> tuple[list[str], list[str]]:
    """The versions that must pass, and those that are only tried."""
    (workflow,) = WORKFLOWS
    matrix = yaml.safe_load(workflow.read_text("utf-8"))["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["experimental"] == [False]
    tried = [each["python-version"] for each in matrix["include"] if each["experimental"]]
    return matrix["python-version"], tried


def classified_pythons() -> list[str]:
    pattern = re.compile(r"Programming Language :: Python :: (3\.\d+)")
    found = map(pattern.fullmatch, PROJECT["project"]["classifiers"])
    return [match[1] for match in found if match]


def test_every_python_that_is_claimed_is_tested_and_no_other():
    claimed = classified_pythons()
    assert pythons_of_the_workflow()[0] == claimed
    minors = [int(version.removeprefix("3.")) for version in claimed]
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_a_python_that_is_only_tried_is_newer_than_those_that_are_claimed():
    must_pass, tried = pythons_of_the_workflow()
    newest = int(must_pass[-1].removeprefix("3."))
    assert [int(version.removeprefix("3.")) for version in tried] == [newest + 1]


def test_the_oldest_python_is_the_same_everywhere():
    oldest = classified_pythons()[0]
    tools = PROJECT["tool"]
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert tools["mypy"]["python_version"] == oldest
    assert tools["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in MAKEFILE


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_targets_that_the_makefile_has(workflow):
    called = {
        word
        for step in steps(workflow)
        for command in re.findall(r"\bmake ([^\n;&|]+)", step.get("run", ""))
        for word in command.split()
        if "=" not in word
    }
    assert called
    assert called <= targets()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_documents_name_targets_that_the_makefile_has(path):
    command = re.compile(r"(?:`|^ *)(?:[A-Z]+=\S+ )*make ([a-z-]+)(?=`| {2,}| &&| [A-Z]+=|$)", re.M)
    commands = command.findall(path.read_text("utf-8"))
    assert set(commands) <= targets()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_write_nothing(workflow):
    described = yaml.safe_load(workflow.read_text("utf-8"))
    assert described["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in described["jobs"].values())


def test_what_a_workflow_runs_from_the_environment_is_installed_there():
    programs = {
        program
        for workflow in WORKFLOWS
        for step in steps(workflow)
        for program in re.findall(r"\.venv/bin/(?:python -m )?([a-z-]+)", step.get("run", ""))
    }
    assert {"build", "twine"} <= programs
    installed = {re.match(r"[\w-]+", each)[0] for each in extra("dev")}
    assert programs <= installed


def extra(name: str) -> list[str]:
    return PROJECT["project"]["optional-dependencies"][name]


def test_a_commit_is_held_to_what_make_lint_checks():
    described = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (repository,) = described["repos"]
    assert repository["repo"] == "local"  # a hook from elsewhere may have another version
    hooks = {hook["entry"].split(" --")[0] for hook in repository["hooks"]}
    lines = [
        line
        for target in ("lint", *re.findall(r"^lint-[a-z]+(?=:)", MAKEFILE, re.M))
        for line in recipe(target).splitlines()
    ]
    checks = {
        line.strip().replace("$(BIN)", ".venv/bin").removesuffix(".").split(" --")[0].strip()
        for line in lines
        if "$(MAKE)" not in line
    }
    assert hooks == checks
    assert all(hook["language"] == "system" for hook in repository["hooks"])


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_an_issue_form_is_one_that_github_accepts(form):
    described = yaml.safe_load(form.read_text("utf-8"))
    assert described["name"]
    assert described["description"]
    fields = [each for each in described["body"] if each["type"] != "markdown"]
    assert {each["type"] for each in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    names = [each["id"] for each in fields]
    assert len(names) == len(set(names)) > 0
    assert all(each["attributes"]["label"] for each in fields)


def test_a_vulnerability_is_not_reported_as_an_issue():
    config = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/config.yml").read_text("utf-8"))
    assert config["blank_issues_enabled"] is False
    assert f"{REPOSITORY}/security/policy" in {each["url"] for each in config["contact_links"]}
    policy = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "Report a vulnerability" in policy
    assert f"{REPOSITORY}/security/advisories/new" in policy


def test_the_project_has_one_address():
    text = "\n".join(path.read_text("utf-8") for path in TEXTS)
    ours = re.findall(r"https?://(?:www\.)?github\.com/[\w.-]*/clusterpass\b", text, re.I)
    assert len(ours) > 5
    assert set(ours) == {REPOSITORY}


def test_absolute_links_to_files_of_the_project_lead_somewhere():
    pattern = re.compile(rf"{re.escape(REPOSITORY)}/(?:blob|tree)/main/([\w./-]+)")
    paths = {path for text in TEXTS for path in pattern.findall(text.read_text("utf-8"))}
    assert "CHANGELOG.md" in paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def packages_in_the_table() -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (table,) = re.findall(r"^In `src/clusterpass`:\n\n((?:\|.*\n)+)", text, re.M)
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_table_of_contributing_names_what_is_there():
    source = ROOT / "src" / "clusterpass"
    for name in packages_in_the_table():
        assert (source / name).exists() or (source / f"{name}.py").exists(), name


def test_the_table_of_contributing_leaves_nothing_out():
    named = {name.partition("/")[0] for name in packages_in_the_table()}
    source = ROOT / "src" / "clusterpass"
    there = {path.name for path in source.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert there - named == {"__init__.py", "__main__.py", "__pycache__"} & there


def test_the_schemas_of_records_are_the_documented_ones():
    text = " ".join((ROOT / "docs" / "versioning.md").read_text("utf-8").split())
    written = f"the schemas {LIVE_SCHEMA} (a live session) and {TOMBSTONE_SCHEMA} (a tombstone)"
    assert f"This release writes {written}" in text
