"""Who may do what, who may listen, and what could not be looked at."""

from collections.abc import Iterator
from typing import Final

from clusterpass.doctor.findings import Finding, Severity, check, names
from clusterpass.doctor.snapshot import NodeSeen, Snapshot
from clusterpass.store.acl import FOR_FSYNC, FOR_USERS

_DAY: Final = 86_400
_SOON, _VERY_SOON = 30 * _DAY, 7 * _DAY


@check("rights", "Whether the user may do all that is needed, on every node")
def rights(seen: Snapshot) -> Iterator[Finding]:
    """A call that the user may not make is answered 503 `store_denied`; on a replica it shows
    after the failover only. The list is in [the library's page](library.md)."""
    missing: dict[tuple[str, ...], list[NodeSeen]] = {}
    for node in seen.answering:
        # WAITAOF is missing on servers that are too old for it, too: a check of its own.
        denied = tuple(each for each in node.denied or () if each not in FOR_FSYNC)
        if denied:
            missing.setdefault(denied, []).append(node)
    for denied, nodes in missing.items():
        severity: Severity = "warning" if set(denied) <= FOR_USERS.keys() else "problem"
        rules = " ".join(f"+{command}" for command in denied)
        yield Finding(
            severity=severity,
            found=f"The user {seen.user!r} may not use, or not with keys of {seen.namespace}:*,"
            f" {', '.join(denied)}.",
            remedy=f"ACL SETUSER {seen.user} ~{seen.namespace}:* {rules}; then ACL SAVE, or in the"
            " configuration file, on every node.",
            nodes=names(nodes),
        )


@check("rights-too-wide", "Whether the user may do more than is needed")
def rights_too_wide(seen: Snapshot) -> Iterator[Finding]:
    """Whoever takes over an application that may FLUSHALL or CONFIG SET takes over all sessions.
    With the rights that are needed, he reaches those of one namespace."""
    wide = [node for node in seen.answering if node.allowed_beyond]
    if wide:
        commands = sorted({command for node in wide for command in node.allowed_beyond})
        yield Finding(
            severity="note",
            found=f"The user {seen.user!r} may also use {', '.join(commands)}.",
            remedy="Give the application a user of its own with the rights of"
            " docs/reference/library.md, and use this one for operators.",
            nodes=names(wide),
        )


@check("password", "Whether the servers ask for a password")
def password(seen: Snapshot) -> Iterator[Finding]:
    """Who can write to the store can open sessions for any subject that has a token, and end all.
    Servers that ask nobody protect them by the network alone."""
    if not seen.has_password and seen.answering:
        yield Finding(
            severity="note" if seen.is_local else "problem",
            found="The servers let us in without a password.",
            remedy="Give the application an ACL user with a password, and switch the default user"
            " off.",
        )
    open_ones = [node for node in seen.answering if node.is_open]
    if open_ones:
        yield Finding(
            severity="note" if seen.is_local else "problem",
            found="We gave a password, but whoever gives none is let in as well.",
            remedy="ACL SETUSER default off, and in the configuration file.",
            nodes=names(open_ones),
        )


@check("tls", "Whether the way to the servers is encrypted")
def tls(seen: Snapshot) -> Iterator[Finding]:
    """No token travels to the store, but its password does, and who is logged in where. Who is on
    the way could change answers: a session that ended would be alive."""
    if not seen.has_tls:
        if not seen.is_local:
            yield Finding(
                severity="warning",
                found="The connections are not encrypted.",
                remedy="Let the servers listen with TLS (tls-port) and use rediss:// or"
                " rediss+cluster://.",
            )
        return
    for setting, what in (("tls-replication", "replicas"), ("tls-cluster", "the cluster bus")):
        plain = [node for node in seen.answering if node.setting(setting) == "no"]
        if plain and (seen.is_cluster or setting == "tls-replication"):
            yield Finding(
                severity="warning",
                found=f"{setting} is no: what goes to {what} is not encrypted.",
                remedy=f"Set {setting} yes on every node.",
                nodes=names(plain),
            )


@check("certificates", "How long the servers' certificates are good")
def certificates(seen: Snapshot) -> Iterator[Finding]:
    """When a certificate has expired no application can connect any more: everybody is logged out
    at once, on all nodes if they were made on one day."""
    for node in seen.answering:
        if node.certificate_expires_at is None:
            continue
        left = node.certificate_expires_at - seen.taken_at
        if left < _SOON:
            yield Finding(
                severity="problem" if left < _VERY_SOON else "warning",
                found=f"Its certificate expires in {max(0.0, left) / _DAY:.0f} days.",
                remedy="Renew it. The servers take a new one by CONFIG SET tls-cert-file,"
                " without a restart.",
                nodes=(str(node.address),),
            )


@check("unseen", "What could not be looked at")
def unseen(seen: Snapshot) -> Iterator[Finding]:
    """A managed cluster may forbid CONFIG and INFO, and a user with few rights cannot ask. Then
    what rests on them was not looked at: it may be well or not."""
    for attribute, command, what in (
        ("info", "INFO", "versions, memory, files, replication, connections"),
        (
            "settings",
            "CONFIG GET",
            "the node timeout, full coverage, reads when down, failover, eviction where INFO does"
            " not tell it, min-replicas, output buffers, idle connections, scripts",
        ),
        ("clock", "TIME", "clocks and round trips"),
        ("denied", "EVAL or ACL DRYRUN", "the user's rights"),
    ):
        blind = [node for node in seen.answering if getattr(node, attribute) is None]
        if blind:
            yield Finding(
                severity="unseen",
                found=f"{command} is not answered, so not looked at: {what}.",
                remedy="Look with a user who may (--store), or in your provider's console.",
                nodes=names(blind),
            )
    if not seen.has_tried:
        yield Finding(
            severity="unseen",
            found="Whether a replica confirms a write, and changes are pushed, was not tried.",
            remedy="Use --write: it writes a key of ours on each primary, for ten seconds.",
        )
