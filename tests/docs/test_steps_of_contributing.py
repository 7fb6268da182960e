"""The steps that CONTRIBUTING.md demands of a change: each one that was forgotten is found."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from redis.crc import key_slot

from clusterpass import Config, KeyRing, SessionManager, TokenIssuer
from clusterpass.cli import COMMANDS
from clusterpass.doctor import CHECKS
from clusterpass.doctor.collect import SETTINGS
from clusterpass.managers.sync.audit import Audit
from clusterpass.managers.sync.groups import Bans, Claims, OnlineSubjects
from clusterpass.protocol.calls import (
    cutoff,
    directory,
    end as end_calls,
    one_time_links,
    online as online_calls,
    session,
    step_up_and_shorten as adjust_calls,
    subject,
)
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.replies import NO_DETAILS
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.verbs import (
    end,
    exchange,
    get,
    login,
    old_tokens,
    online,
    refresh,
    step_up_and_shorten,
    subject as subject_verbs,
    subject_data,
    verify,
)
from clusterpass.tokens.encoding import decode_base64url, decode_json_object
from clusterpass.tokens.issuer import RESERVED_CLAIMS
from clusterpass.tokens.verifier import _OWN_MEMBERS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "clusterpass"
NAMES = ["alice", "{", "a{b}c", "}{", "😀", "x" * 200]
KEYSPACE = Keyspace("app")


def text_of(*paths: str) -> str:
    found = [file for path in paths for file in sorted(ROOT.glob(path))]
    assert found, paths
    return "\n".join(file.read_text("utf-8") for file in found)


# A verb.


def calls_about_a_subject() -> list[Any]:
    found = []
    for module in (session, adjust_calls, end_calls, subject, directory, one_time_links):
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                returned = get_type_hints(function).get("return")
                if getattr(returned, "__origin__", None) is ScriptCall and not name.startswith("_"):
                    found.append(function)
    return found


def argument(name: str, kind: Any, who: str) -> Any:
    """A value that fits a parameter, by its name and its type."""
    if name in {"subject", "username"}:
        return who
    known = {
        "keyspace": KEYSPACE,
        "keeping": Housekeeping(60),
        "keys": KEYSPACE.keys_of(who),
        "key": KEYSPACE.attempts_by_account(who),
        "reason": "revoked",
        "field_name": "password",
        "methods": ("pwd",),
        "details": NO_DETAILS,
    }
    if name in known:
        return known[name]
    by_type = {bytes: bytes(16), str: "x", int: 1, bool: True}
    for wanted, value in by_type.items():
        if kind is wanted or kind == wanted | None:
            return value
    if inspect.isclass(kind):
        hints = get_type_hints(kind)
        return kind(
            **{
                each: argument(each, hints[each], who)
                for each, one in inspect.signature(kind).parameters.items()
                if one.default is inspect.Parameter.empty
            }
        )
    raise AssertionError(f"tell argument() in this test what a {name} of type {kind} is")


@pytest.mark.parametrize("call", calls_about_a_subject(), ids=lambda call: call.__qualname__)
def test_a_call_about_a_subject_touches_one_slot(call):
    hints = get_type_hints(call)
    for who in NAMES:
        made = call(
            **{
                name: argument(name, hints[name], who)
                for name, one in inspect.signature(call).parameters.items()
                if one.default is inspect.Parameter.empty
            }
        )
        slots = {key_slot(key) for key in made.keys}
        assert len(slots) == 1, (call.__qualname__, who)
        assert made.slot in {None, *slots}


def test_a_call_about_the_namespace_names_one_key():
    for call in (
        cutoff.raise_cutoff(KEYSPACE, 5, milliseconds=None, ahead=0),
        cutoff.read_cutoff(KEYSPACE, 5, deadline=1),
        online_calls.count_online(KEYSPACE, range(5, 9)),
        online_calls.page_online(KEYSPACE, range(5, 9), cursor=0, most=1),
    ):
        assert [key_slot(key) for key in call.keys] == [5]


VERBS = {name for name in dir(SessionManager) if not name.startswith("_")}
WITHOUT_A_FLOW = {"from_url", "close", "recall", "on", "off", "stats", "ping", "replace_keys"}
GROUPS = {"audit": Audit, "bans": Bans, "claims": Claims, "online": OnlineSubjects}


def verbs_of_groups() -> list[str]:
    return [
        f"{group}.{name}"
        for group, kind in GROUPS.items()
        for name in vars(kind)
        if not name.startswith("_")
    ]


def test_every_flow_is_a_verb_of_the_manager():
    manager = text_of("src/clusterpass/managers/aio/*.py", "src/clusterpass/migrate/aio/*.py")
    classes = [
        getattr(module, name)
        for module, name in (
            (login, "Login"),
            (verify, "Verify"),
            (refresh, "Refresh"),
            (end, "End"),
            (exchange, "Exchange"),
            (old_tokens, "OldTokens"),
            (get, "Get"),
            (step_up_and_shorten, "Adjust"),
            (subject_verbs, "SubjectFlows"),
            (subject_data, "SubjectData"),
            (online, "Online"),
        )
    ]
    flows = {
        name
        for kind in classes
        for name, function in vars(kind).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }
    missing = {name for name in flows if not re.search(rf"_flows\.(\w+\.)?{name}\(", manager)}
    # What verbs share, and what the verb `watch` is made of.
    shared = {"genuine", "check", "prepare", "report", "refuse"}
    assert missing <= shared | {"followed", "read"}


@pytest.mark.parametrize("verb", sorted(VERBS - WITHOUT_A_FLOW) + verbs_of_groups())
def test_every_verb_is_tried_on_every_engine(verb):
    tests = text_of("tests/cluster/**/test_*.py")
    assert re.search(rf"(manager|own|sessions|apart)\.{re.escape(verb)}\(", tests)


NOT_IN_THE_MODEL = {
    *("revoke_before", "generation", "count", "page", "prune", "watch", "export", "erase"),
    *("note", "flush"),
}
"""What is about the whole namespace, is no part of a session's life, or lasts."""


def test_the_model_of_random_sequences_knows_every_verb():
    tests = text_of("tests/cluster/model/*.py")
    verbs = (VERBS - WITHOUT_A_FLOW) | {verb.split(".")[1] for verb in verbs_of_groups()}
    missing = {verb for verb in verbs if not re.search(rf"\.{verb}\b", tests)}
    assert missing <= NOT_IN_THE_MODEL


@pytest.mark.parametrize("verb", sorted(VERBS - WITHOUT_A_FLOW))
def test_every_verb_has_a_section(verb):
    assert f"\n## {verb}\n" in text_of("docs/reference/sessions.md")


@pytest.mark.parametrize("verb", verbs_of_groups())
def test_every_verb_of_a_group_is_shown(verb):
    assert f".{verb}(" in text_of("docs/reference/sessions.md", "docs/reference/audit.md")


# A claim.


def test_what_the_issuer_writes_no_application_can_set():
    issuer = TokenIssuer(
        KeyRing.generate().signing_key, issuer="i", audience="a", random_bytes=bytes
    )
    token = issuer.issue("s", "sid", issued_at=1, expires_at=2, claims={})
    payload = decode_json_object(decode_base64url(token.split(".")[1]))
    assert payload.keys() <= RESERVED_CLAIMS
    assert _OWN_MEMBERS <= RESERVED_CLAIMS


@pytest.mark.parametrize("claim", sorted(_OWN_MEMBERS))
def test_every_claim_is_attacked(claim):
    tests = text_of("tests/security/*.py")
    assert f'"{claim}"' in tests or f"payload({claim}=" in tests


# A driver.


def test_every_driver_keeps_apart_from_the_others_and_conforms():
    drivers = {
        path.stem
        for path in (SOURCE / "store" / "drivers").glob("*.py")
        if re.search(r"^class \w+\(StoreBase\)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert {"sync", "aio"} <= drivers
    contracts = text_of("pyproject.toml").split('type = "independence"')[1]
    names = re.findall(r"clusterpass\.store\.drivers\.(\w+)", contracts)
    assert drivers == set(names)
    suite = text_of("tests/store/test_drivers_conform.py")
    source = text_of("src/clusterpass/store/drivers/*.py")
    classes = re.findall(r"^class (\w+)\(StoreBase\)", source, re.MULTILINE)
    assert all(f"class Test{name}(" in suite for name in classes)


# An integration.


def test_every_example_is_run():
    tests = text_of("tests/examples/*.py", "tests/integrations/conftest.py")
    for folder in (ROOT / "examples").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert folder.name in tests, folder.name


# A setting.


@pytest.mark.parametrize("name", [each.name for each in fields(Config)])
def test_every_field_of_the_configuration_is_in_the_reference(name):
    assert re.search(rf"`{name}\b|\b{name}=", text_of("docs/reference/library.md"))


def test_every_setting_of_a_session_is_tried():
    from clusterpass.service.settings.sessions import SessionSettings

    tests = text_of("tests/service/**/*.py")
    missing = {
        name
        for name in SessionSettings.model_fields
        if f'"{name}"' not in tests and f"CLUSTERPASS_{name.upper()}" not in tests
    }
    assert missing == set()


# A command.


def test_every_command_is_registered_and_tried():
    found = set()
    for path in (SOURCE / "cli").rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and any(
                ast.unparse(each).startswith(("click.command", "click.group"))
                for each in node.decorator_list
            ):
                found.add(node.name)
    assert found == set(COMMANDS)
    tests = text_of("tests/cli/*.py", "tests/service/*.py", "tests/cluster/test_cluster_cli.py")
    untried = {name for name in COMMANDS if f'"{name}"' not in tests and f" {name}" not in tests}
    assert untried == set()


# A check of the doctor.


def test_a_check_reads_settings_that_are_collected():
    checks = text_of("src/clusterpass/doctor/checks/*.py")
    read = set(re.findall(r'\.setting\("([\w-]+)"\)', checks))
    assert read
    assert read <= set(SETTINGS)


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_every_check_has_a_case(check):
    files = ("unit/test_doctor.py", "unit/test_doctor_copies.py", "cluster/test_doctor.py")
    assert f'"{check}"' in text_of(*(f"tests/{file}" for file in files))
