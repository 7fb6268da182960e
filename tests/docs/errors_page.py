"""docs/reference/errors.md: the tree of errors, and what to do about each.

The codes, statuses and messages are those of the classes. What is written here is why each error
happens and what to do; a class without that fails the test of the page.
"""

import importlib
import inspect
import pkgutil

import clusterpass.model
from clusterpass.model.errors import ClusterPassError

HELP: dict[str, tuple[str, str]] = {
    "ClusterPassError": (
        "Never raised itself; catch it to catch all others.",
        "Look at the class, or at `code`.",
    ),
    "ConfigurationError": (
        "A setting, a file or an option is wrong or unsafe, or packages are missing.",
        "Correct what the message names; `clusterpass config check` tells all before a start.",
    ),
    "KeyRejected": (
        "A key is malformed, too short, of a kind that is not used here, or public where a private"
        " one is needed.",
        "Make one with `clusterpass keys generate`; of another issuer, pass its public JWK Set.",
    ),
    "InvalidInput": (
        "An argument is out of range, of a wrong type, or too long.",
        "Correct the call; the message names the argument. A retry fails again.",
    ),
    "PasswordRefused": (
        "A new password is too short, too common, or little more than the name of its user;"
        " `reason` says which.",
        "Have another one chosen. The least length is the setting `shortest_password`.",
    ),
    "LinkInvalid": (
        "A link of an invitation or a reset was used before, is too old, or was replaced.",
        "Make a new one: `clusterpass users reset-link NAME`, or `invite`.",
    ),
    "MailFailed": (
        "The mail server, or the function of `mail_sender`, did not take a mail, or not within 30"
        " seconds; `reason` says why. An invited user has been added. The link ended an older one.",
        "Look at the log and the settings `smtp_...`. Make another reset link: mailed, or, without"
        " an address, to be given to the user by yourself.",
    ),
    "AuthenticationError": (
        "Never raised itself; the base of whatever a login or another token repairs.",
        "Have the user log in.",
    ),
    "InvalidCredentials": (
        "The name or the password is wrong, or the user is disabled. Which one, nobody is told.",
        "Ask again. If nobody can log in, see whether the service reads the right namespace.",
    ),
    "InvalidRefreshToken": (
        "The refresh token is malformed, of another service, or of a session that is over;"
        " `reason` says which.",
        "Delete the tokens and have the user log in.",
    ),
    "RefreshTokenReused": (
        "A refresh token was presented again after its grace. It was stolen, or a client lost a"
        " response, or two of its threads refresh at once.",
        "Have the user log in. If it happens often with `reason` `recent`, refresh in one place of"
        " the client, or raise `refresh_grace`.",
    ),
    "StepUpRequired": (
        "The session is live, but its authentication is too weak or too old for this request.",
        "Ask for the password or the second factor, and call `step_up`; see `WWW-Authenticate`.",
    ),
    "InvalidToken": (
        "Never raised itself; the base of what is wrong with an access token or its session.",
        "Refresh once; if that fails, have the user log in.",
    ),
    "TokenMissing": (
        "No `Authorization: Bearer` header, and no cookie where cookies count.",
        "Send the token. Behind a proxy, see whether it passes the header on.",
    ),
    "TokenMalformed": (
        "What was sent is no signed JWT in the form that is accepted.",
        "Send the access token as it was received; a refresh token is none.",
    ),
    "TokenKeyUnknown": (
        "No key here has the `kid` of the token: it is of another deployment, or keys were rolled"
        " before every server knew the new one.",
        "Compare the keys of the servers; roll keys in two steps.",
    ),
    "TokenSignatureInvalid": (
        "The signature does not fit: the token was changed, or two keys share a `kid`.",
        "Refuse it. If it is yours, compare the keys of the servers.",
    ),
    "TokenTypeInvalid": (
        "The `typ` of the token is not `at+jwt`: it may be an ID token.",
        "Send the access token.",
    ),
    "TokenIssuerInvalid": (
        "`iss` is not the `issuer` of this server.",
        "Give all servers the same `issuer`, or the client the tokens of this one.",
    ),
    "TokenAudienceInvalid": (
        "`aud` does not name the `audience` of this server.",
        "Give the servers of one audience the same `audience`.",
    ),
    "TokenNotYetValid": (
        "`iat` or `nbf` lies in the future: a clock is wrong.",
        "Synchronise the clocks; `clusterpass doctor` compares those of the nodes.",
    ),
    "TokenExpired": (
        "The access token is past its `exp`. This is normal.",
        "Refresh, and repeat the request.",
    ),
    "TokenSuperseded": (
        "A step-up has replaced the token (`step_up_ends_older_tokens`).",
        "Use the tokens of the step-up.",
    ),
    "SessionUnknown": (
        "The store has no such session: it ended long ago, or this is another store or namespace.",
        "Have the user log in. If all users are affected, compare `store_url` of the servers.",
    ),
    "SessionExpired": (
        "The session reached its absolute or its idle lifetime; `reason` says which.",
        "Have the user log in.",
    ),
    "SessionRevoked": (
        "The session was logged out, replaced, revoked or banned; `reason`, `ended_at` and `note`"
        " say why and when.",
        "Have the user log in, and show the note.",
    ),
    "RequestRefused": (
        "A form came from another origin, or without its token.",
        "Behind a proxy, see whether it passes on `Host`. Otherwise it was an attack.",
    ),
    "AdministratorRequired": (
        "The caller is no administrator, or is impersonating somebody.",
        "Add the subject to `administrators`; end the impersonation first.",
    ),
    "AccessDenied": (
        "A rule of the policy denies the request, or none allows it; `reason` says which.",
        "Ask `clusterpass authz explain` which rule decides.",
    ),
    "SubjectBanned": (
        "A ban from everything, or from the scope that is needed, is in force; `ban` has it.",
        "Show its reason and end. `clusterpass bans lift` lifts it.",
    ),
    "ScopeMissing": (
        "The session is live, but its claims lack the scope.",
        "Do not log in again, which changes nothing. Grant the scope: `sessions.claims.set`.",
    ),
    "ImpersonationRefused": (
        "The subject is protected, or the actor is the subject or impersonates already.",
        "See `reason`; `protected_subjects` and `administrators` cannot be impersonated.",
    ),
    "SessionNotFound": (
        "The subject has no live session with this id.",
        "Nothing is to be ended. List the sessions again.",
    ),
    "UserNotFound": ("The directory has no such user.", "See `clusterpass users list`."),
    "UserExists": ("The name, however it is spelt, is taken.", "Choose another name."),
    "LoginOvertaken": (
        "All sessions were revoked while this login was in progress.",
        "Log in again.",
    ),
    "TooManySessions": (
        "The subject has `max_sessions`, and `overflow` is `refuse`.",
        "Let the user end one of `sessions`, or set `overflow` to `oldest`.",
    ),
    "TooManyBans": ("The subject has the maximum of bans.", "Lift one, or ban from a wider scope."),
    "OperationMismatch": (
        "The operation id or `Idempotency-Key` was used for another request.",
        "Make a new one for each request, and repeat it with its retries only.",
    ),
    "TooManyAttempts": (
        "The limit of logins of the account, the address, the network or all is used up.",
        "Wait for `retry_after`. If many users share an address, see `trusted_proxies` and"
        " `address_attempts`.",
    ),
    "StoreUnavailable": (
        "The store did not answer in time or cannot serve the slot; no session was ended.",
        "Repeat after `retry_after`. `cause`, `node` and the log say what has happened; see the"
        " [runbooks](../howto/runbooks/README.md).",
    ),
    "StoreDenied": (
        "The user, the password, the ACL or a certificate is wrong.",
        "Correct them; `clusterpass doctor` names the right that is missing.",
    ),
    "RevocationPending": (
        "The session is refused on this server, but the loss of one node could undo that still.",
        "Nothing is lost: it is retried. Repeat with the same `operation_id` to be sure.",
    ),
    "KeysUnavailable": (
        "The keys of an issuer could not be fetched, and none are cached.",
        "See whether this server reaches the URL; repeat after `retry_after`.",
    ),
    "StoreFailed": (
        "The store answered with an error that a retry does not resolve, or `redis://` names a"
        " cluster.",
        "Read the message; see whether the URL, the version and the modules are supported.",
    ),
    "UnreadableRecord": (
        "A newer release, or another program, has written a record.",
        "Finish the upgrade, or go back to the newer release.",
    ),
    "LocalServerFailed": (
        "`clusterpass dev` or `demo` could not start a server on this machine.",
        "Read the log that the message names.",
    ),
    "EmbeddedClusterError": (
        "A local cluster could not be started: no server program, no free port, no room.",
        "Install `clusterpass[embedded]`, or name a program with `server=`.",
    ),
}


def all_errors() -> list[type[ClusterPassError]]:
    """Every error, in the order of ``HELP``: each after its parent."""
    for module in pkgutil.iter_modules(clusterpass.model.__path__, "clusterpass.model."):
        importlib.import_module(module.name)

    def below(kind: type[ClusterPassError]) -> list[type[ClusterPassError]]:
        own = [each for each in kind.__subclasses__() if "clusterpass.model" in each.__module__]
        return [kind, *(each for child in own for each in below(child))]

    order = list(HELP)
    return sorted(
        below(ClusterPassError),
        key=lambda kind: order.index(kind.__name__) if kind.__name__ in HELP else len(order),
    )


def errors_page() -> str:
    """docs/reference/errors.md."""
    lines = [
        "# Errors",
        "",
        "<!-- Made by: python -m tests.docs.reference -->",
        "",
        "Every error of the library is a `ClusterPassError`. `code` is stable and may be compared;",
        "`status` is that of the HTTP response, whose body is",
        "[a problem document](http.md#errors). Some have a `reason`, which tells causes apart.",
        "",
        "| error | `code` | status |",
        "|---|---|---|",
    ]
    for kind in all_errors():
        depth = len([each for each in kind.__mro__ if issubclass(each, ClusterPassError)]) - 1
        name = f"[`{kind.__name__}`](#{kind.code})"
        lines.append(f"| {'· ' * depth}{name} | `{kind.code}` | {kind.status} |")
    for kind in all_errors():
        cause, remedy = HELP[kind.__name__]
        about = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]
        lines += [
            "",
            f"## {kind.code}",
            "",
            f"`{kind.__name__}`, status {kind.status}: {' '.join(about.split())}",
            "",
            f"- **Cause:** {cause}",
            f"- **Remedy:** {remedy}",
        ]
    return "\n".join(lines) + "\n"
