"""Builds the session that a login opens from its options, all of which are checked here."""

from typing import Final, get_type_hints

from clusterpass.model.errors import InvalidInput
from clusterpass.model.events import SessionEvent
from clusterpass.model.policy import SessionPolicy
from clusterpass.model.values import SESSION_ID_BYTES
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.records import BY_PASSWORD, LONGEST_SHORT_DEVICE
from clusterpass.protocol.replies import NO_DETAILS, Details
from clusterpass.sessions.authentication import PASSWORD
from clusterpass.sessions.check_arguments import (
    check_device_type,
    check_generation,
    check_level,
    check_lifetime,
    check_methods,
    check_session_to_replace,
)
from clusterpass.sessions.context import Context
from clusterpass.sessions.options import LoginOptions
from clusterpass.tokens.identifiers import check_device, check_subject
from clusterpass.tokens.issuer import check_claims

_OPTIONS: Final = frozenset(get_type_hints(LoginOptions))


class NewSessions:
    """The sessions that logins ask for."""

    def __init__(self, context: Context) -> None:
        self._config = context.config
        self._stored_address = context.stored_address
        self._random_bytes = context.random_bytes

    def prepare(
        self, subject: str, options: LoginOptions
    ) -> tuple[session_calls.NewSession, SessionEvent]:
        """Return the session to open, without its digest, and the event that reports it.

        Raises TypeError for an unknown option, and InvalidInput.
        """
        check_subject(subject)
        if not options:
            return self._usual(), SessionEvent("login", subject, 0)
        if not options.keys() <= _OPTIONS:
            name = min(options.keys() - _OPTIONS)
            raise TypeError(f"login() got an unexpected keyword argument {name!r}")
        if "device" in options:
            options = {**options, "device": check_device(options["device"])}
        told_device = options.get("device")
        if not self._config.stored_devices:
            options = {**options, "device": None}
        details, device, flags = self._describe(options)
        absolute, idle = self._lifetimes(options)
        address, replaced = options.get("address"), options.get("replace")
        generation, policy = options.get("generation"), options.get("policy")
        policy = self._config.policy if policy is None else policy
        if not isinstance(policy, SessionPolicy):
            raise InvalidInput("policy must be a SessionPolicy")
        wanted = session_calls.NewSession(
            session_id=self._random_bytes(SESSION_ID_BYTES),
            refresh_digest=b"",
            absolute_seconds=absolute,
            idle_seconds=idle,
            flags=flags,
            device=device,
            details=details,
            most_sessions=policy.max_sessions,
            most_per_device=policy.max_per_device,
            overflow=policy.overflow,
            replaced=b"" if replaced is None else check_session_to_replace(replaced),
            generation=None if generation is None else check_generation(generation),
            address=b"" if address is None else self._stored_address(address),
            label=options.get("device") or options.get("device_type") or "",
        )
        event = SessionEvent(
            "login",
            subject,
            0,
            device=told_device,
            device_type=options.get("device_type"),
            address=address,
        )
        return wanted, event

    def _usual(self) -> session_calls.NewSession:
        """Return the session that a login without options asks for."""
        config, usual = self._config, self._config.policy
        return session_calls.NewSession(
            session_id=self._random_bytes(SESSION_ID_BYTES),
            refresh_digest=b"",
            absolute_seconds=config.absolute_lifetime,
            idle_seconds=config.idle_lifetime,
            details=NO_DETAILS,
            most_sessions=usual.max_sessions,
            most_per_device=usual.max_per_device,
            overflow=usual.overflow,
        )

    def _describe(self, options: LoginOptions) -> tuple[Details, str, int]:
        """Return the details, the device as the record holds it, and the record's flags."""
        name, kind, claims = (
            options.get("device"),
            options.get("device_type"),
            options.get("claims"),
        )
        if kind is not None:
            check_device_type(kind)
        checked = {} if claims is None else check_claims(claims)
        levels, level = self._config.levels, options.get("acr")
        acr = levels[0] if level is None else check_level(levels, level)
        methods = check_methods(options["amr"]) if "amr" in options else ()
        name, prefix = name or "", f"{kind}\0" if kind else ""
        is_short = len((prefix + name).encode()) <= LONGEST_SHORT_DEVICE
        details = Details(
            checked,
            None if is_short else name,
            None if acr == levels[0] else acr,
            () if methods == PASSWORD else methods,
        )
        if details == NO_DETAILS:
            details = NO_DETAILS
        flags = BY_PASSWORD if methods == PASSWORD else 0
        return details, prefix + (name if is_short else ""), flags

    def _lifetimes(self, options: LoginOptions) -> tuple[int, int]:
        config, remember = self._config, options.get("remember", False)
        if not isinstance(remember, bool):
            raise InvalidInput("remember must be True or False")
        absolute, idle = config.absolute_lifetime, config.idle_lifetime
        if remember:
            absolute, idle = config.remember_lifetime, config.remember_idle_lifetime
        lifetime, idle_lifetime = options.get("lifetime"), options.get("idle_lifetime")
        if lifetime is not None:
            absolute = check_lifetime("lifetime", lifetime)
        if idle_lifetime is not None:
            idle = check_lifetime("idle_lifetime", idle_lifetime, may_be_zero=True)
        return absolute, idle
