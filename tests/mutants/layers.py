"""The layers of the code, their sources, and the tests that may find a change in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path("src/clusterpass")
# Written by scripts/generate_sync.py: a change of the source is generated into them.
GENERATED = ("managers/sync/", "users/sync/")


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of the code with a score of its own."""

    sources: tuple[str, ...]
    """Folders and files under src/clusterpass."""
    fallback: tuple[str, ...] = ()
    """Tests for code that coverage sees nowhere, because it runs in other processes."""


SCRIPT_TESTS = (
    "tests/cluster/test_scripts.py",
    "tests/cluster/test_contract.py",
    "tests/cluster/test_races.py",
    "tests/cluster/test_bans.py",
    "tests/cluster/test_history.py",
    "tests/cluster/test_activity.py",
    "tests/cluster/test_step_up.py",
    "tests/cluster/test_online.py",
    "tests/cluster/test_golden_records.py",
    "tests/cluster/test_revocation.py",
    "tests/cluster/test_policies.py",
    "tests/cluster/test_live_claims.py",
    "tests/cluster/test_lifetimes.py",
    "tests/cluster/test_explained_ends.py",
    "tests/cluster/test_impersonation.py",
    "tests/service/test_directory.py",
)
LAYERS: dict[str, Layer] = {
    "model": Layer(("model", "config.py", "limits.py", "web")),
    "tokens": Layer(("tokens",)),
    "protocol": Layer(("protocol",)),
    "lua": Layer(("protocol/scripts",), SCRIPT_TESTS),
    "sessions": Layer(("sessions",)),
    "store": Layer(("store",)),
    "managers": Layer(("managers",)),
    "users": Layer(("users",)),
    "service": Layer(("service",), ("tests/service/test_server.py", "tests/service/test_cli.py")),
    "doctor": Layer(("doctor",)),
    "cli": Layer(("cli",), ("tests/cli/test_doctor_cli.py", "tests/cli/test_dev_and_demo.py")),
}
# Tests whose coverage is recorded. Left out: those that read the source instead of running it, and
# those that take minutes, whose findings would cost more than they tell.
SLOW_OR_TEXTUAL = frozenset(
    {
        "tests/cluster/test_acl.py",
        "tests/cluster/test_cluster_cli.py",
        "tests/cluster/test_embedded.py",
        "tests/cluster/test_failover.py",
        "tests/cluster/test_gunicorn.py",
        "tests/cluster/test_model.py",
        "tests/cluster/test_nothing_leaks.py",
        "tests/cli/test_dev_and_demo.py",
        "tests/service/test_page_browser.py",
        "tests/service/test_page_browser_admin.py",
        "tests/service/test_server.py",
        "tests/unit/test_managers_agree.py",
        "tests/unit/test_mutants.py",
        "tests/unit/test_recovery_figures.py",
        "tests/unit/test_rights.py",
        "tests/unit/test_script_headers.py",
        "tests/unit/test_wheel.py",
    }
)
TEST_FOLDERS = ("unit", "security", "store", "cli", "cluster", "service")


def sources_of(tree: Path, layer: str) -> Iterator[str]:
    """The files of a layer, as paths in the tree, in a fixed order."""
    suffix = "*.lua" if layer == "lua" else "*.py"
    for name in LAYERS[layer].sources:
        path = tree / PACKAGE / name
        for file in sorted(path.rglob(suffix)) if path.is_dir() else [path]:
            inside = file.relative_to(tree / PACKAGE).as_posix()
            if not inside.startswith(GENERATED):
                yield file.relative_to(tree).as_posix()


def recorded_tests(tree: Path) -> list[str]:
    """The test files whose coverage decides which tests run, those without a cluster first."""
    return [
        file.relative_to(tree).as_posix()
        for folder in TEST_FOLDERS
        for file in sorted((tree / "tests" / folder).glob("test_*.py"))
        if file.relative_to(tree).as_posix() not in SLOW_OR_TEXTUAL
    ]


def needs_cluster(test: str) -> bool:
    """Whether a test starts servers, which costs seconds before its first line."""
    return not test.startswith(("tests/unit/", "tests/security/"))
