"""Permissions, passwords, TLS, and what the doctor could not inspect."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from clusterpass.doctor.findings import Finding, Severity, check, names
from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot
from clusterpass.store.acl import DEGRADING, DEGRADING_ALONE, FOR_FSYNC, FOR_LIMITS, OF_CLUSTERS

_DAY: Final = 86_400
_SOON, _VERY_SOON = 30 * _DAY, 7 * _DAY


@check("rights", "Whether the ACL user has every permission it needs, on every node")
def rights(seen: Snapshot) -> Iterator[Finding]:
    """A call that the user may not make fails with 503 `store_denied`. A permission that is missing
    on a replica shows only after a failover. [The library reference](library.md) lists the
    permissions."""
    missing: dict[tuple[str, ...], list[NodeSnapshot]] = {}
    is_alone = not (seen.asked_for_cluster or seen.is_cluster)
    degrading = DEGRADING_ALONE if is_alone else DEGRADING
    degrading |= {"wait"} if seen.durability == "primary" else frozenset()
    for node in seen.answering:
        # WAITAOF is also missing on servers that are too old for it: the check "fsync" covers it.
        left_out = FOR_FSYNC.keys() | (OF_CLUSTERS if is_alone else frozenset())
        denied = tuple(each for each in node.denied or () if each not in left_out)
        if denied:
            missing.setdefault(denied, []).append(node)
    for denied, nodes in missing.items():
        degrades = set(denied) <= degrading
        severity: Severity = "warning" if degrades else "problem"
        rules = " ".join(f"+{command}" for command in denied)
        unlimited = ""
        if FOR_LIMITS.keys() & set(denied):
            rules = f"&{seen.namespace}:* {rules}"
            unlimited = (
                f" Without SUBSCRIBE to the channels {seen.namespace}:*, the limit of"
                " client-output-buffer-limit for pubsub does not apply to invalidation messages: an"
                " application that is suspended fills the memory of the servers."
            )
        yield Finding(
            severity=severity,
            found=f"The user {seen.user!r} may not run these commands on keys {seen.namespace}:*,"
            f" or the server lacks them: {', '.join(denied)}.{unlimited}",
            remedy=f"Run ACL SETUSER {seen.user} ~{seen.namespace}:* {rules} on every node; then"
            " ACL SAVE, or change the configuration file. docs/reference/stores.md says what"
            " happens without each.",
            nodes=names(nodes),
        )


@check("rights-too-wide", "Whether the ACL user has more permissions than it needs")
def rights_too_wide(seen: Snapshot) -> Iterator[Finding]:
    """Whoever takes over an application that may run FLUSHALL or CONFIG SET controls all data on
    the servers. With only the permissions that ClusterPass needs, the damage is limited to the
    sessions of one namespace."""
    wide = [node for node in seen.answering if node.allowed_beyond]
    if wide:
        commands = sorted({command for node in wide for command in node.allowed_beyond})
        yield Finding(
            severity="note",
            found=f"The user {seen.user!r} may also run {', '.join(commands)}.",
            remedy="Give the application an ACL user of its own, with the permissions listed in"
            " docs/reference/library.md, and keep this user for operators.",
            nodes=names(wide),
        )


@check("password", "Whether the servers require a password")
def password(seen: Snapshot) -> Iterator[Finding]:
    """Whoever can write to the store can create a session for the holder of any token that has not
    expired, and can end every session. Without a password, only the network protects the store."""
    if not seen.has_password and seen.answering:
        yield Finding(
            severity="note" if seen.is_local else "problem",
            found="The servers accept connections without a password.",
            remedy="Give the application an ACL user with a password, and disable the default user"
            " (ACL SETUSER default off).",
        )
    open_ones = [node for node in seen.answering if node.is_open]
    if open_ones:
        yield Finding(
            severity="note" if seen.is_local else "problem",
            found="The servers also accept connections without a password.",
            remedy="Run ACL SETUSER default off, and put it into the configuration file.",
            nodes=names(open_ones),
        )


@check("tls", "Whether the connections to and between the servers are encrypted")
def tls(seen: Snapshot) -> Iterator[Finding]:
    """No token is sent to the store, but its password is, and so is who is logged in where. Whoever
    controls the network could also alter replies, and make a revoked session look alive."""
    if not seen.has_tls:
        if not seen.is_local:
            yield Finding(
                severity="warning",
                found="The connections to the servers are not encrypted.",
                remedy="Enable TLS on the servers (tls-port), and use rediss:// or rediss+cluster://"
                " in the store URL.",
            )
        return
    for setting, what in (
        ("tls-replication", "replication traffic"),
        ("tls-cluster", "the cluster bus"),
    ):
        plain = [node for node in seen.answering if node.setting(setting) == "no"]
        if plain and (seen.is_cluster or setting == "tls-replication"):
            yield Finding(
                severity="warning",
                found=f"{setting} is no, so {what} is not encrypted.",
                remedy=f"Set {setting} to yes on every node.",
                nodes=names(plain),
            )


@check("certificates", "How long the certificates of the servers remain valid")
def certificates(seen: Snapshot) -> Iterator[Finding]:
    """No application can connect to a node whose certificate has expired. Certificates that were
    issued together expire together, and then the whole cluster is unreachable at once."""
    for node in seen.answering:
        if node.certificate_expires_at is None:
            continue
        left = node.certificate_expires_at - seen.taken_at
        if left < _SOON:
            yield Finding(
                severity="problem" if left < _VERY_SOON else "warning",
                found="The certificate has expired."
                if left <= 0
                else f"The certificate expires in {left / _DAY:.0f} days.",
                remedy="Renew the certificate. CONFIG SET tls-cert-file loads the new one without a"
                " restart.",
                nodes=(str(node.address),),
            )


_NEED_TRIAL: Final = frozenset({"confirmation", "pushes"})
_NEED: Final = {
    "info": frozenset({"versions", "memory", "eviction", "persistence", "replication"})
    | {"connections", "tracked-keys"},
    "settings": frozenset({"node-timeout", "full-coverage", "reads-when-down", "failover"})
    | {"min-replicas", "output-buffers", "connections", "scripts", "fsync", "compact-hashes"},
    "clock": frozenset({"clocks", "round-trip"}),
    "denied": frozenset({"rights", "rights-too-wide"}),
}
"""The checks that need each reply."""


def blind_spots(seen: Snapshot, only: Collection[str]) -> Iterator[Finding]:
    """Return what the checks ``only`` could not inspect, as findings of the check ``unseen``."""
    blind = {attribute for attribute, checks in _NEED.items() if not checks.isdisjoint(only)}
    has_tried = seen.has_tried or _NEED_TRIAL.isdisjoint(only)
    whole = replace(seen, has_tried=has_tried)
    return (replace(each, id=unseen.id) for each in _unseen(whole, blind))


@check("unseen", "What the doctor could not inspect")
def unseen(seen: Snapshot) -> Iterator[Finding]:
    """A managed cluster may forbid CONFIG and INFO, and a user with few permissions may not run
    them. The checks that need their replies are skipped, so the report says nothing about these
    subjects, good or bad."""
    return _unseen(seen, _NEED)


def _unseen(seen: Snapshot, attributes: Collection[str]) -> Iterator[Finding]:
    for attribute, command, what in (
        ("info", "INFO", "versions, memory, persistence, replication, connections"),
        (
            "settings",
            "CONFIG GET",
            "node timeout, full coverage, reads when down, failover settings, min-replicas, output"
            " buffers, idle connections, script limits, and eviction if INFO does not show it",
        ),
        ("clock", "TIME", "clocks and round trip times"),
        ("denied", "EVAL or ACL DRYRUN", "permissions of the user"),
    ):
        blind = [node for node in seen.answering if getattr(node, attribute) is None]
        if blind and attribute in attributes:
            yield Finding(
                severity="unseen",
                found=f"{command} is refused, so these were not checked: {what}.",
                remedy="Use --store with a user that may run it, or check them in your provider's"
                " console.",
                nodes=names(blind),
            )
    if not seen.has_tried:
        yield Finding(
            severity="unseen",
            found="Without a trial write, it is unknown whether replicas confirm writes and"
            " invalidation messages arrive.",
            remedy="Use --write: it writes one key on each primary, which expires after 10"
            " seconds.",
        )
