"""``clusterpass authz``: explain what a policy says of a request, and test it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from clusterpass.cli.exit_status import ExitStatus
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import counted, json_option, print_facts, print_json, printable
from clusterpass.cli.store_connection import config_option
from clusterpass.cli.value_types import TEXT
from clusterpass.model.errors import ConfigurationError

if TYPE_CHECKING:
    from clusterpass.service.authz.cases import Outcome
    from clusterpass.service.authz.original_request import OriginalRequest
    from clusterpass.service.authz.policy import Policies, Rule, Ruling
    from clusterpass.service.settings.service import Settings

_policy_option: Final = click.option(
    "--policy",
    "policy_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Policy file.  [default: the setting authz_policy]",
)


@click.group()
@config_option
@click.pass_context
def authz(context: click.Context, config: Path | None) -> None:
    """Explain what an access policy says of a request, and test it.

    The policy is that of the authorization endpoints, which reverse proxies ask before they forward
    a request.
    """
    context.obj = config


@authz.command(
    epilog=examples(
        "clusterpass authz explain --policy policy.toml --url https://app.example/admin",
        "clusterpass authz explain --url https://app.example/orders --method POST --token -",
    )
)
@_policy_option
@click.option("--url", required=True, type=TEXT, help="The URL that is asked for.")
@click.option(
    "--method", type=TEXT, default="GET", show_default=True, help="The method of the request."
)
@click.option("--policy-name", type=TEXT, help="A policy in the file.  [default: its rules]")
@click.option(
    "--token",
    type=click.Choice(["-"]),
    help="Read an access token from standard input, and ask the store about its session.",
)
@json_option
@click.pass_obj
def explain(
    config: Path | None,
    *,
    policy_file: Path | None,
    url: str,
    method: str,
    policy_name: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Say which rule decides about a request, and why.

    Without --token, the request has no session. The exit status is 0 if the request is allowed, 3
    if it is not, and 1 if that cannot be determined.
    """
    from asyncio import run  # noqa: PLC0415 - quick --help

    from clusterpass.service.authz.cases import original_of, outcome_of  # noqa: PLC0415

    settings, policies = _load(config, policy_file)
    policy = policies.named(policy_name or "")
    if policy is None:
        known = ", ".join(filter(None, policies.by_name)) or "none"
        raise ConfigurationError(f"there is no policy {policy_name!r}; named policies: {known}")
    original = original_of(url, method)
    ruling = policy.rule_on(original)
    subject = None
    if token is None:
        outcome, reason = outcome_of(ruling, None, settings.levels)
    else:
        asking = _ask(settings, ruling, original, sys.stdin.readline().strip())
        outcome, reason, subject = run(asking)
    passed_over = [(rule.name, why) for rule, why in policy.passed_over(original)]
    facts = {
        "method": original.method,
        "host": original.host,
        "path": original.path,
        "rule": None if ruling.rule is None else ruling.rule.name,
        "requires": [] if ruling.rule is None else _requirements(ruling.rule),
        "subject": subject,
        "decision": outcome,
        "reason": reason,
    }
    if as_json:
        listed = [{"rule": name, "because": why} for name, why in passed_over]
        print_json({**facts, "passed_over": listed})
    else:
        _print_explanation(facts, passed_over)
    if outcome != "allow":
        sys.exit(ExitStatus.NO)


@authz.command(epilog=examples("clusterpass authz test cases.toml"))
@_policy_option
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def test(config: Path | None, *, policy_file: Path | None, file: Path, as_json: bool) -> None:
    """Test a policy with the requests in FILE, without a store.

    FILE may name the policy file (policy_file). The exit status is 1 if a request is not decided as
    expected.
    """
    from clusterpass.service.authz.cases import judge, load_cases  # noqa: PLC0415
    from clusterpass.service.settings.loading import load_settings  # noqa: PLC0415

    levels = load_settings(config).levels
    named, cases = load_cases(file, levels)
    _, policies = _load(config, policy_file or named)
    judged = [(case, judge(policies, case, levels)) for case in cases]
    failed = sum(not verdict.meets(case) for case, verdict in judged)
    if as_json:
        print_json(
            [
                {
                    "name": case.name,
                    "expect": case.expect,
                    "decision": verdict.outcome,
                    "rule": verdict.rule,
                    "reason": verdict.reason,
                    "passed": verdict.meets(case),
                }
                for case, verdict in judged
            ]
        )
    else:
        for case, verdict in judged:
            if not verdict.meets(case):
                wanted = case.expect + (f" by {case.rule}" if case.rule else "")
                got = f"{verdict.outcome} by {verdict.rule or 'no rule'}"
                because = f" ({verdict.reason})" if verdict.reason else ""
                click.echo(printable(f"{case.name}: expected {wanted}, got {got}{because}"))
        click.echo(f"{counted(len(judged), 'case')}, {failed} failed")
    if failed:
        sys.exit(ExitStatus.FAILED)


def _load(config: Path | None, policy_file: Path | None) -> "tuple[Settings, Policies]":
    """Return the settings, and the policies as the service would read them."""
    from clusterpass.service.authz.policy_file import load_policies  # noqa: PLC0415
    from clusterpass.service.settings.loading import load_settings  # noqa: PLC0415

    settings = load_settings(config)
    file = policy_file or settings.authz_policy
    if file is None:
        raise ConfigurationError("which policy? Name its file with --policy")
    return settings, load_policies(
        file, levels=settings.levels, most_grace=settings.authz_most_grace
    )


async def _ask(
    settings: "Settings", ruling: "Ruling", original: "OriginalRequest", token: str
) -> "tuple[Outcome, str | None, str | None]":
    """Return the decision about ``token``, its reason, and whose session that is.

    Raises StoreUnavailable.
    """
    from clusterpass import (  # noqa: PLC0415
        AsyncSessionManager,
        AuthenticationError,
        StepUpRequired,
    )
    from clusterpass.service.authz.decision import (  # noqa: PLC0415
        Allowed,
        Denied,
        Grace,
        decide,
    )

    fields: dict[str, Any] = {}
    url = settings.full_store_url()
    async with AsyncSessionManager.from_url(url, settings.session_config()) as sessions:
        decision = await decide(
            sessions, ruling, original.method, lambda: token, grace=Grace(0, 0), fields=fields
        )
    subject = fields.get("subject")
    if isinstance(decision, Allowed):
        return "allow", None, subject
    if isinstance(decision, Denied):
        error = decision.error
        reason = error.reason or error.code
        if isinstance(error, StepUpRequired):
            return "step_up", reason, subject
        is_unknown = isinstance(error, AuthenticationError)
        return "login" if is_unknown else "deny", reason, subject
    raise decision.error


def _print_explanation(facts: Mapping[str, Any], passed_over: Sequence[tuple[str, str]]) -> None:
    for_people = {**facts, "requires": ", ".join(facts["requires"])}
    print_facts([(name, str(value)) for name, value in for_people.items() if value])
    for name, why in passed_over:
        click.echo(f"passed over {printable(name)}: {why}")


def _requirements(rule: "Rule") -> list[str]:
    if rule.access == "public":
        return ["nothing"]
    if rule.access == "denied":
        return ["denied to everybody"]
    requirements = ["a live session"]
    requirements += [f"scope {each}" for each in rule.scope]
    if rule.level is not None:
        requirements.append(f"level {rule.level}")
    if rule.max_auth_age is not None:
        requirements.append(f"authenticated within {rule.max_auth_age} s")
    least = f" at level {rule.ban_level}" if rule.ban_level is not None else ""
    requirements += [f"no ban from {each}{least}" for each in rule.not_banned]
    if rule.verification is not None:
        requirements.append("the store is asked each time")
    if rule.outage_grace is not None:
        requirements.append(f"outage grace {rule.outage_grace} s")
    if rule.allow_preflight:
        requirements.append("a preflight passes")
    return requirements
