"""The layers of the code, their sources, and the tests that may find a change in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGE = Path("src/clusterpass")
# Written by scripts/generate_sync.py: a change of the source is generated into them.
GENERATED = ("managers/sync/", "users/sync/", "migrate/sync/")


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of the code with a score of its own."""

    sources: tuple[str, ...]
    """Folders and files under src/clusterpass."""
    fallback: tuple[str, ...] = ()
    """Files of tests for code that coverage sees nowhere, because it runs in other processes."""
    descriptions: tuple[str, ...] = ()
    """Files of tests of what decorators say of functions, which no line of the functions shows."""
    constants: tuple[str, ...] = ()
    """Files of tests of what all constants of a kind say, none of which they name."""


SCRIPT_TESTS = (
    "tests/cluster/test_scripts.py",
    "tests/cluster/test_contract.py",
    "tests/cluster/test_races.py",
    "tests/cluster/test_bans.py",
    "tests/cluster/test_history.py",
    "tests/cluster/test_key_of_last_use.py",
    "tests/cluster/test_step_up.py",
    "tests/cluster/test_online.py",
    "tests/cluster/test_golden_records.py",
    "tests/cluster/test_revocation.py",
    "tests/cluster/test_policies.py",
    "tests/cluster/test_live_claims.py",
    "tests/cluster/test_lifetimes.py",
    "tests/cluster/test_explained_ends.py",
    "tests/cluster/test_impersonation.py",
    "tests/service/test_user_directory.py",
)
# What most scripts include is executed by more tests than a mutant can have: these are about it.
ABOUT_INCLUDES: dict[str, tuple[str, ...]] = {
    "activity": ("tests/cluster/test_key_of_last_use.py",),
    "bans": ("tests/cluster/test_bans.py",),
    "clock": ("tests/cluster/test_clock_of_scripts.py",),
    "described_session": ("tests/cluster/test_contract.py", "tests/cluster/test_live_claims.py"),
    "elevation": ("tests/cluster/test_step_up.py", "tests/cluster/test_step_up_tokens.py"),
    "fast_path": ("tests/cluster/test_fast_path.py",),
    "generation": (
        "tests/migrate/test_old_tokens.py",
        "tests/migrate/test_age_of_old_sessions.py",
        "tests/cluster/test_operation_ids.py",
    ),
    "history": ("tests/cluster/test_history.py",),
    "history_line": ("tests/cluster/test_history.py",),
    "journal": ("tests/cluster/durability/test_journal.py",),
    "monotonic_time": ("tests/cluster/test_key_of_last_use.py",),
    "online_index": ("tests/cluster/test_online.py",),
    "online_scores": ("tests/cluster/test_online.py",),
    "operations": ("tests/cluster/durability/test_repeated_operations.py",),
    "repeats": ("tests/cluster/test_races.py", "tests/cluster/test_step_up_tokens.py"),
    "sessions": ("tests/cluster/test_policies.py", "tests/cluster/test_contract.py"),
    "subject": ("tests/cluster/test_lifetimes.py", "tests/cluster/test_scripts.py"),
    "subject_summary": ("tests/cluster/test_fast_path.py",),
    "tombstones": ("tests/cluster/test_explained_ends.py", "tests/cluster/test_scripts.py"),
}
LAYERS: dict[str, Layer] = {
    "model": Layer(
        ("model", "config.py", "limits.py", "web"), constants=("tests/unit/test_errors.py",)
    ),
    "tokens": Layer(("tokens", "jwks")),
    "protocol": Layer(("protocol",)),
    "lua": Layer(("protocol/scripts",), SCRIPT_TESTS),
    "sessions": Layer(("sessions",)),
    "store": Layer(("store",), ("tests/cluster/test_event_loops.py",)),
    "managers": Layer(("managers", "testing")),
    "users": Layer(("users",)),
    "integrations": Layer(
        ("integrations",),
        ("tests/integrations/test_rendered_pages.py", "tests/integrations/test_shops.py"),
    ),
    "migrate": Layer(("migrate",)),
    "metrics": Layer(("metrics", "tracing"), constants=("tests/unit/test_metrics.py",)),
    "service": Layer(
        ("service",),
        ("tests/service/test_server.py", "tests/service/test_cli.py"),
        ("tests/unit/test_openapi.py",),
    ),
    "doctor": Layer(("doctor",)),
    "cli": Layer(
        ("cli",),
        (
            "tests/cli/test_doctor_cli.py",
            "tests/cluster/test_cluster_cli.py",
            "tests/cli/test_dev_and_demo.py",
        ),
        (
            "tests/unit/test_cli_audit.py",
            "tests/unit/test_cli_authz.py",
            "tests/unit/test_cli_commands.py",
            "tests/unit/test_cli_conventions.py",
            "tests/unit/test_cli_doctor.py",
            "tests/unit/test_cli_main.py",
            "tests/unit/test_cli_output.py",
            "tests/unit/test_cli_serve.py",
            "tests/unit/test_cli_usage.py",
        ),
    ),
}
# Folders of which every test file, at any depth, is recorded ...
TEST_FOLDERS: Final = (
    "tests/unit",
    "tests/security",
    "tests/store",
    "tests/cli",
    "tests/field",
    "tests/cluster",
    "tests/cluster/durability",
    "tests/cluster/store_faults",
    "tests/integrations",
    "tests/integrations/grpc",
    "tests/migrate",
    "tests/testing",
    "tests/service",
    "tests/service/administration",
    "tests/service/authz",
)
# ... but these files and folders: they read the source instead of running it, or they take minutes,
# so that their findings would cost more than they tell.
SLOW_OR_TEXTUAL: Final = frozenset(
    {
        "tests/cluster/test_acl.py",
        "tests/cluster/test_cluster_cli.py",
        "tests/cluster/embedded",
        "tests/cluster/test_failover.py",
        "tests/cluster/test_gunicorn.py",
        "tests/cluster/model",
        "tests/cluster/test_nothing_leaks.py",
        "tests/cli/test_dev_and_demo.py",
        "tests/deploy",
        "tests/runbooks",
        "tests/upgrade",
        "tests/service/test_page_browser.py",
        "tests/service/test_page_browser_admin.py",
        "tests/service/test_prometheus.py",
        "tests/service/test_server.py",
        "tests/unit/test_managers_agree.py",
        "tests/unit/test_mutant_trials.py",
        "tests/unit/test_mutants.py",
        "tests/unit/test_recovery_figures.py",
        "tests/unit/test_script_headers.py",
        "tests/unit/test_wheel.py",
    }
)


class NothingThere(Exception):
    """A path that this module names does not exist, or no test file is in it."""


def sources_of(tree: Path, layer: str) -> Iterator[str]:
    """The files of a layer, as paths in the tree, in a fixed order."""
    suffix = "*.lua" if layer == "lua" else "*.py"
    for name in LAYERS[layer].sources:
        path = tree / PACKAGE / name
        for file in sorted(path.rglob(suffix)) if path.is_dir() else [path]:
            inside = file.relative_to(tree / PACKAGE).as_posix()
            if not inside.startswith(GENERATED):
                yield file.relative_to(tree).as_posix()


def check_paths(tree: Path) -> None:
    """Raises ``NothingThere`` unless every path that this module names is in the tree."""
    layers = LAYERS.values()
    named = [(PACKAGE / source).as_posix() for layer in layers for source in layer.sources]
    named += [(PACKAGE / folder).as_posix() for folder in GENERATED]
    for layer in layers:
        named += [*layer.fallback, *layer.descriptions, *layer.constants]
    named += [test for tests in ABOUT_INCLUDES.values() for test in tests]
    missing = [path for path in [*named, *SLOW_OR_TEXTUAL] if not (tree / path).exists()]
    if missing:
        raise NothingThere(f"not there: {', '.join(sorted(set(missing)))}")
    recorded_tests(tree)


def recorded_tests(tree: Path, folders: Sequence[str] = TEST_FOLDERS) -> list[str]:
    """The test files whose coverage decides which tests run, those without a cluster first."""
    files: dict[str, None] = {}
    for folder in folders:
        path = tree / folder
        tests = [path] if path.is_file() else sorted(path.rglob("test_*.py"))
        found = [one.relative_to(tree) for one in tests]
        kept = [one.as_posix() for one in found if not _is_left_out(one)]
        if not kept:
            raise NothingThere(f"no test file in {folder}")
        files.update(dict.fromkeys(kept))
    return list(files)


def _is_left_out(file: Path) -> bool:
    return any(one.as_posix() in SLOW_OR_TEXTUAL for one in (file, *file.parents))


def needs_cluster(test: str) -> bool:
    """Whether a test starts servers, which costs seconds before its first line."""
    return not test.startswith(("tests/unit/", "tests/security/"))
