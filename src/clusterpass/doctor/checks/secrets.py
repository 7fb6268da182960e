"""Keys and secrets that the store holds."""

from collections.abc import Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, Severity, check
from clusterpass.doctor.snapshot import Snapshot
from clusterpass.doctor.stored_secrets import StoredSecret
from clusterpass.tokens.managed_keys import KeySchedule

_GIVE_KEY: Final = "Put the key that is named behind the others in key_encryption_keys."


@check("secrets", "Whether the keys and secrets in the store open with the configured keys")
def secrets(seen: Snapshot) -> Iterator[Finding]:
    """The store holds refresh secrets, and managed signing keys, wrapped by `key_encryption_keys`.
    A server that cannot open the key that signs, or a secret by which others make tokens, answers
    logins and refreshes with 503 (`store_unavailable`, reason `secrets`) or does not start to sign.
    Without the settings of the service (`--config`) the doctor cannot tell."""
    settings = seen.secret_settings
    if settings is None or seen.secrets is None:
        return
    closed = [each for each in seen.secrets if each.why_closed]
    if not settings.is_of_service and not settings.key_encryption_keys and closed:
        yield Finding(
            severity="unseen",
            found="The store holds wrapped keys or secrets, and no key_encryption_keys are known"
            " here that could open them.",
            remedy="Run the doctor with the settings of the service: --config, or its environment.",
        )
        return
    if settings.is_managed:
        yield from _about_keys(seen, closed)
    for each in closed:
        if not each.is_key:
            yield Finding(
                severity="warning" if settings.has_refresh_secrets else "problem",
                found=f"The refresh secret {each.name} in the store does not open"
                f" ({each.why_closed}): refreshes by its tokens are answered with 503 (secrets).",
                remedy=f"{_GIVE_KEY} If it is lost: clusterpass keys rotate-refresh-secret"
                " --retire-others, after which everybody logs in again.",
            )


def _about_keys(seen: Snapshot, closed: list[StoredSecret]) -> Iterator[Finding]:
    assert seen.secret_settings is not None
    known = {each.key.kid: each.key for each in seen.secrets or () if each.key is not None}
    schedule = KeySchedule(known.values(), seen.taken_at, seen.secret_settings.token_seconds)
    states = {each.kid: each.state for each in schedule.described()}
    for each in closed:
        state = states.get(each.name, "")
        if not each.is_key:
            continue
        if each.name in states and state not in {"active", "next"}:
            continue  # it signs no more, and its public half is not wrapped
        signs = {"active": "signs", "next": "is to sign next"}.get(state, "may have to verify")
        severity: Severity = "warning" if state == "" else "problem"
        yield Finding(
            severity=severity,
            found=f"The signing key {each.name} in the store, which {signs}, does not open"
            f" ({each.why_closed}): logins and refreshes are answered with 503 (secrets), or 500.",
            remedy=f"{_GIVE_KEY} If it is lost: clusterpass keys revoke {each.name}",
        )
