"""The configuration of a session manager: frozen, validated once, passed in as an argument.

- Only :meth:`Config.from_env` reads the environment.
- Durations are in seconds.
- An unsafe value or combination is refused with a ConfigurationError that says why.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Self, get_args

from clusterpass.limits import DAY, LEVEL_NAME, LONGEST_GRACE, LONGEST_LIFETIME
from clusterpass.model.audit import AuditPolicy
from clusterpass.model.environment_settings import read_secret_file, read_variables
from clusterpass.model.errors import ClusterPassError, ConfigurationError
from clusterpass.model.policy import SessionPolicy, check_whole
from clusterpass.tokens.key_encryption import parse_encryption_keys
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh_secrets import STORE, parse_refresh_secrets

_DEFAULT_POLICY: Final = SessionPolicy()
VerificationMode = Literal["cached", "strict", "stateless"]
_MODES: Final = frozenset(get_args(VerificationMode))
Durability = Literal["replicated", "primary", "fsync"]
_DURABILITIES: Final = frozenset(get_args(Durability))
RefreshRetry = Literal["until_used", "grace"]
_RETRIES: Final = frozenset(get_args(RefreshRetry))
Compatibility = Literal["current", "previous"]
_COMPATIBILITIES: Final = get_args(Compatibility)
StoredAddresses = Literal["full", "network", "none"]
_STORED_ADDRESSES: Final = get_args(StoredAddresses)


def _name(name: str, value: object) -> None:
    """Raise ConfigurationError unless ``value`` may stand in ``iss``, ``aud`` or ``client_id``."""
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= 255
        or not (value.isascii() and value.isprintable())
    ):
        raise ConfigurationError(f"{name} must be 1 to 255 printable ASCII characters")


def check_mode(mode: object, error: type[ClusterPassError] = ConfigurationError) -> None:
    """Raise ``error`` unless ``mode`` is a :data:`VerificationMode`."""
    if not isinstance(mode, str) or mode not in _MODES:
        raise error("verification must be 'cached', 'strict' or 'stateless'")


def check_grace(seconds: object, error: type[ClusterPassError]) -> None:
    """Raise ``error`` unless ``seconds`` is an ``outage_grace``: a number from 0 to 3600."""
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 <= seconds <= LONGEST_GRACE
    ):
        raise error(f"outage_grace must be a number of seconds from 0 to {LONGEST_GRACE}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a session manager.

    Raises ConfigurationError when a value is out of range or a combination is unsafe.
    """

    issuer: str
    """The issuer of the tokens (``iss``), usually the URL of the auth service."""
    audience: str = ""
    """The audience of the tokens (``aud``); the issuer unless given."""
    client_id: str = ""
    """Who asked for the tokens (``client_id``, RFC 9068); the issuer unless given, as it logs users
    in itself. Nothing is decided by it, so it may be changed at any time."""
    keys: KeyRing = field(repr=False)
    """The key ring: the first private key signs, and all keys verify."""
    refresh_secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets of refresh tokens: the first makes them, and all are accepted. Make one with
    ``clusterpass keys refresh-secret``. None: the store holds them, and the first process makes
    one. ``store`` before them: those of the store make tokens, and these are accepted already."""
    key_encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    """The keys under which secrets lie in the store (AES-256-GCM): the first wraps, and all unwrap.
    Make one with ``clusterpass keys encryption-key``. None: secrets lie in the store as they are.
    """
    access_lifetime: int = 15 * 60
    """Seconds for which an access token is valid (10 to one day)."""
    absolute_lifetime: int = 30 * DAY
    """Seconds after the login at which a session ends, however it is used (10 to ten years)."""
    idle_lifetime: int = 7 * DAY
    """Seconds without use after which a session ends (at most ten years; 0: no idle limit). As not
    every use is recorded, a session may end up to a twentieth of this time earlier."""
    remember_lifetime: int = 90 * DAY
    """The absolute lifetime, in seconds, of a login with ``remember=True`` (10 to ten years)."""
    remember_idle_lifetime: int = 30 * DAY
    """The idle lifetime, in seconds, of a login with ``remember=True`` (at most ten years; 0: no
    idle limit)."""
    activity_interval: int = 300
    """Seconds between two records of a session's use (at most one day; 0: only refreshes are
    recorded). For some sessions it is up to a quarter less, so that not all are recorded at once.
    """
    refresh_grace: int = 30
    """Seconds during which a used refresh token may be presented again and gets the identical
    successor (5 to 300; 0: single use without exception)."""
    refresh_retry: RefreshRetry | None = None
    """How long the predecessor of the current refresh token may be presented again, and gets the
    identical successor. ``until_used``: until a token of the exchange has been used, however long
    that takes, so that a client whose answer was lost stays logged in; ``grace``: for
    ``refresh_grace`` seconds. None: ``grace`` with ``verification="stateless"``, where the store
    does not learn of the use of an access token, and ``until_used`` otherwise."""
    clock_leeway: int = 30
    """Seconds by which ``iat`` and ``nbf`` may lie in the future (0 to 300)."""
    expiry_leeway: int = 0
    """Seconds after ``exp`` for which an access token is still accepted (0 to 5)."""
    policy: SessionPolicy = _DEFAULT_POLICY
    """The session policy of every login that brings none of its own."""
    levels: tuple[str, ...] = ("1", "2", "3")
    """The authentication levels (``acr``), ascending; a new login has the first."""
    step_up_ends_older_tokens: bool = False
    """Whether a step-up ends the tokens that its session had before. Otherwise these keep the level
    of the login; they never rise to that of the step-up."""
    protected_subjects: frozenset[str] = frozenset()
    """Subjects that can never be impersonated."""
    history_entries: int = 20
    """History entries kept for each subject (0 to 100). All processes that share the store need the
    same number, as each process trims the history to its own."""
    history_lifetime: int = 0
    """Seconds for which the history is kept after its last entry once the subject has no session
    (at most ten years)."""
    stored_addresses: StoredAddresses = "full"
    """What the history keeps of the addresses of clients: ``full``; ``network``, the first 24 bits
    of IPv4 and 48 of IPv6; ``none``."""
    stored_devices: bool = True
    """Whether sessions and the history keep the names of devices; types of devices are kept."""
    generation_lifetime: int = 3600
    """Seconds for which the store remembers that all sessions of a subject were revoked (one hour
    to ten years): as long as the tokens of another library live while users move from it
    (``clusterpass.migrate``). All processes that share the store need the same number."""
    audit: AuditPolicy | None = None
    """What becomes of the entries of the audit trail, in which verbs are noted: who did what to
    whom, and with what outcome. None: nothing is noted."""
    index_online: bool = True
    """Whether the store keeps an index of online subjects."""
    verification: VerificationMode = "cached"
    """How access tokens are verified. ``cached``: from memory while the session is unchanged, and
    from the store otherwise; ``strict``: by asking the store each time; ``stateless``: by the token
    alone, so that a revoked session is accepted until its access token expires."""
    staleness_bound: float = 0.5
    """Seconds after an acknowledged revocation within which ``cached`` verification accepts the
    session at most, even when the cluster cannot be reached (0.05 to 60). ``outage_grace`` is the
    one exception. Each primary gets four heartbeats in this time."""
    durability: Durability = "replicated"
    """What a write waits for. ``replicated``: a replica has the write (WAIT), so that the write
    survives the loss of any one node; ``fsync``: the write is on the disk of the primary, and of a
    replica where there is one (WAITAOF; Redis 7.2 or Valkey, with ``appendonly yes``); ``primary``:
    nothing. In a store without replicas, ``replicated`` equals ``primary``."""
    outage_grace: float = 0.0
    """Stale-while-error: while the store cannot be reached, verify accepts a session that this
    process saw alive at most so many seconds ago (at most one hour; 0: verify raises
    StoreUnavailable). A revocation made elsewhere meanwhile is not seen, so the grace is for
    read-only use."""
    compatibility: Compatibility = "current"
    """Which release reads what is written: ``current``, this one; ``previous``, the one before as
    well, so that both run side by side, and users stay logged in when you go back to it. With
    ``previous``, refresh tokens are made from the signing keys, which must be here, and
    ``refresh_retry`` is ``grace``."""
    cache_entries: int = 100_000
    """The most access tokens that the cache holds (1 to 100 million)."""
    cache_bytes: int = 256 * 1024 * 1024
    """The approximate memory limit of the cache, in bytes (1 MiB to 1 TiB)."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> Self:
        """Return the configuration that the variables of the environment describe.

        Each setting has the variable of its name, ``CLUSTERPASS_ACCESS_LIFETIME`` for example;
        ``CLUSTERPASS_ISSUER`` is required. ``CLUSTERPASS_KEYS_FILE`` is the path of the key ring, a
        JWK Set or PEM; ``CLUSTERPASS_KEYS`` may be a JWK Set itself instead. The policy has
        ``CLUSTERPASS_MAX_SESSIONS``, ``CLUSTERPASS_MAX_PER_DEVICE`` and ``CLUSTERPASS_OVERFLOW``;
        ``CLUSTERPASS_AUDIT`` is true or false, and the audit trail has
        ``CLUSTERPASS_AUDIT_RETENTION`` and ``CLUSTERPASS_AUDIT_ENTRIES``.
        ``CLUSTERPASS_REFRESH_SECRETS_FILE`` and ``CLUSTERPASS_KEY_ENCRYPTION_KEYS_FILE`` are paths
        of files that hold those settings.
        The auth service reads the same variables. ``environ``: ``os.environ`` unless given.
        ``settings``: override the environment. Raises ConfigurationError, which names the variable,
        for a value that is not allowed, a misspelt name, and missing keys.
        """
        environ = os.environ if environ is None else environ
        found = read_variables(environ, PREFIX, SETTINGS, others=_VARIABLES_OF_THE_SERVICE)
        return cls.from_settings({**found, **settings})

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the configuration of ``settings``, whose names are those of :meth:`from_env`.

        ``keys_file`` stands for ``keys``, which may be a KeyRing or a JWK Set, and is read as
        ``keys_file_access``, ``keys_passphrase`` and ``keys_passphrase_file`` say (``KeyFile``);
        ``max_sessions``, ``max_per_device`` and ``overflow`` make the policy, and ``audit`` (True),
        ``audit_retention`` and ``audit_entries`` that of the audit trail, and are ignored without
        it. Raises ConfigurationError.
        """
        found = dict(settings)
        policy = {name: found.pop(name) for name in _OF_THE_POLICY if name in found}
        if policy:
            found.setdefault("policy", SessionPolicy(**policy))
        audit = {name: found.pop(name) for name in _OF_THE_AUDIT if name in found}
        if isinstance(found.get("audit"), bool):
            kept = {_OF_THE_AUDIT[name]: value for name, value in audit.items()}
            found["audit"] = AuditPolicy(**kept) if found["audit"] else None
        file = found.pop("keys_file", None)
        how = {name: found.pop(setting) for setting, name in _OF_THE_FILE if setting in found}
        if "keys" not in found and file is not None:
            from clusterpass.tokens.key_file import KeyFile  # noqa: PLC0415 - for a file alone

            found["keys"] = KeyFile(file, **how).load()
        elif "keys" in found and not isinstance(found["keys"], KeyRing):
            found["keys"] = KeyRing.from_jwks(found["keys"])
        for name in _SECRETS:
            path = found.pop(f"{name}_file", None)
            if path is not None and name in found:
                raise ConfigurationError(f"give {name} or {name}_file, not both")
            if path is not None:
                found[name] = read_secret_file(f"{name}_file", path)
        for name, variable in (("issuer", "ISSUER"), ("keys", "KEYS_FILE")):
            if name not in found:
                raise ConfigurationError(f"{PREFIX}{variable} is not set")
        return cls(**found)

    def __post_init__(self) -> None:
        _name("issuer", self.issuer)
        if self.audience == "":
            object.__setattr__(self, "audience", self.issuer)
        _name("audience", self.audience)
        if self.client_id == "":
            object.__setattr__(self, "client_id", self.issuer)
        _name("client_id", self.client_id)
        if not isinstance(self.keys, KeyRing):
            raise ConfigurationError("keys must be a KeyRing; make one with KeyRing.generate()")
        self._check_secrets()
        if not isinstance(self.policy, SessionPolicy):
            raise ConfigurationError("policy must be a SessionPolicy")
        check_whole("access_lifetime", self.access_lifetime, 10, DAY)
        check_whole("absolute_lifetime", self.absolute_lifetime, 10, LONGEST_LIFETIME)
        check_whole("idle_lifetime", self.idle_lifetime, 0, LONGEST_LIFETIME)
        check_whole("remember_lifetime", self.remember_lifetime, 10, LONGEST_LIFETIME)
        check_whole("remember_idle_lifetime", self.remember_idle_lifetime, 0, LONGEST_LIFETIME)
        check_whole("activity_interval", self.activity_interval, 0, DAY)
        check_whole("history_entries", self.history_entries, 0, 100)
        check_whole("history_lifetime", self.history_lifetime, 0, LONGEST_LIFETIME)
        check_whole("generation_lifetime", self.generation_lifetime, 3600, LONGEST_LIFETIME)
        check_whole("clock_leeway", self.clock_leeway, 0, 300)
        check_whole("expiry_leeway", self.expiry_leeway, 0, 5)
        if self.refresh_grace != 0:
            check_whole("refresh_grace, unless it is 0,", self.refresh_grace, 5, 300)
        if self.refresh_retry is not None and self.refresh_retry not in _RETRIES:
            raise ConfigurationError("refresh_retry must be 'until_used', 'grace' or None")
        if self.refresh_retry == "until_used" and not self.refresh_grace:
            raise ConfigurationError(
                "refresh_retry='until_used' needs a refresh_grace above 0, which means single use"
                " without exception"
            )
        for name in ("idle_lifetime", "remember_idle_lifetime"):
            if 0 < getattr(self, name) < self.access_lifetime:
                raise ConfigurationError(
                    f"{name} must not be shorter than access_lifetime: a session would end"
                    " while its access token is still in use"
                )
        if self.audit is not None and not isinstance(self.audit, AuditPolicy):
            raise ConfigurationError("audit must be an AuditPolicy or None")
        check_mode(self.verification)
        bound = self.staleness_bound
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0.05 <= bound <= 60:
            raise ConfigurationError("staleness_bound must be a number of seconds from 0.05 to 60")
        if not isinstance(self.durability, str) or self.durability not in _DURABILITIES:
            raise ConfigurationError("durability must be 'replicated', 'primary' or 'fsync'")
        check_grace(self.outage_grace, ConfigurationError)
        check_whole("cache_entries", self.cache_entries, 1, 100_000_000)
        check_whole("cache_bytes", self.cache_bytes, 2**20, 2**40)
        self._check_names()
        self._check_compatibility()

    @property
    def retries_until_used(self) -> bool:
        """Whether a refresh token may be presented again until its successor was used."""
        retry = self.refresh_retry
        if self.compatibility == "previous":
            return False
        if retry is None:
            return self.refresh_grace > 0 and self.verification != "stateless"
        return retry == "until_used"

    @property
    def shared_secrets(self) -> tuple[str, ...]:
        """The secrets from which forms and cookies are derived, the first of which makes them;
        none, or ``store`` before them: the signing keys do."""
        own = self.refresh_secrets
        if self.keys.managed is None:
            return own
        # What a server has made that has no refresh_secrets yet is accepted too.
        wrapping = self.key_encryption_keys
        return (*wrapping, *own[1:]) if STORE in own else (*own, *wrapping)

    def _check_secrets(self) -> None:
        if self.keys.managed is not None and not self.key_encryption_keys:
            raise ConfigurationError(
                "keys in the store need key_encryption_keys, which wrap their private halves; make"
                " one with: clusterpass keys encryption-key"
            )
        if self.refresh_secrets:
            secrets = parse_refresh_secrets(self.refresh_secrets)
            object.__setattr__(self, "refresh_secrets", secrets)
        if self.key_encryption_keys:
            keys = parse_encryption_keys(self.key_encryption_keys)
            object.__setattr__(self, "key_encryption_keys", keys)

    def _check_compatibility(self) -> None:
        if self.compatibility not in _COMPATIBILITIES:
            raise ConfigurationError("compatibility must be 'current' or 'previous'")
        if self.compatibility == "current":
            return
        if self.keys.managed is not None or (
            self.keys.can_sign and not self.keys.signing_key.can_derive
        ):
            raise ConfigurationError(
                "compatibility='previous' needs the private half of the signing key, from which the"
                " release before derives refresh tokens: give keys that are neither in the store"
                " nor in a KMS"
            )
        if self.refresh_retry == "until_used":
            raise ConfigurationError(
                "compatibility='previous' excludes refresh_retry='until_used', of which the release"
                " before knows nothing"
            )

    def _check_names(self) -> None:
        levels = self.levels
        if (
            not isinstance(levels, tuple)
            or not 1 <= len(levels) <= 16
            or len(set(levels)) < len(levels)
            or not all(isinstance(level, str) and LEVEL_NAME.fullmatch(level) for level in levels)
        ):
            raise ConfigurationError(
                "levels must be a tuple of 1 to 16 different names of letters, digits, ._:/#-"
            )
        protected = self.protected_subjects
        if not isinstance(protected, frozenset) or not all(
            isinstance(subject, str) for subject in protected
        ):
            raise ConfigurationError("protected_subjects must be a frozenset of subjects")
        if self.stored_addresses not in _STORED_ADDRESSES:
            raise ConfigurationError("stored_addresses must be 'full', 'network' or 'none'")
        for name in ("index_online", "step_up_ends_older_tokens", "stored_devices"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"{name} must be True or False")


PREFIX: Final = "CLUSTERPASS_"
"""What the variables of the environment begin with."""
_OF_THE_FILE: Final = (
    ("keys_file_access", "access"),
    ("keys_passphrase", "passphrase"),
    ("keys_passphrase_file", "passphrase_file"),
)
"""The settings about ``keys_file``, and the names of the arguments of KeyFile."""
_OF_THE_POLICY: Final = ("max_sessions", "max_per_device", "overflow")
_OF_THE_AUDIT: Final = {"audit_retention": "retention", "audit_entries": "most_entries"}
_SECRETS: Final = ("refresh_secrets", "key_encryption_keys")
"""Settings whose value may be in a file, which a setting of the name with ``_file`` names."""
SETTINGS: Final[dict[str, type]] = {
    **{
        each.name: next((kind for kind in (int, float, bool) if each.type is kind), str)
        for each in fields(Config)
        if each.name != "policy"
    },
    "levels": tuple,
    **dict.fromkeys(_SECRETS, tuple),
    **{f"{name}_file": str for name in _SECRETS},
    "protected_subjects": frozenset,
    "keys_file": str,
    **{setting: str for setting, _ in _OF_THE_FILE},
    "max_sessions": int,
    "max_per_device": int,
    "overflow": str,
    "audit": bool,
    **dict.fromkeys(_OF_THE_AUDIT, int),
}
"""The settings of :meth:`Config.from_env`, and what their variables may hold."""
_VARIABLES_OF_THE_SERVICE: Final = (
    *("managed_keys", "key_algorithm", "key_rotate_after", "key_publish_before"),
    *("account_attempts", "account_window", "address_attempts", "address_window"),
    *("administration_max_age", "administrators", "authz_assertion", "authz_cookie_domain"),
    "authz_hand_over_hosts",
    *("authz_grpc_address", "authz_hosts", "authz_identity_headers", "authz_most_grace"),
    *("authz_policy", "authz_portal", "config", "cookie_secure", "hash_concurrency", "page_prefix"),
    *("host", "log_format", "log_warm_verifies", "login_enabled", "metrics_address"),
    *("page_color", "page_color_dark", "page_links", "page_logo", "page_name", "page_templates"),
    *("password_check", "port"),
    *("step_up_seconds", "store_url", "trusted_proxies", "workers"),
    *("store_address_remap", "store_key_password", "store_key_password_file"),
    *("store_password_file", "store_server_name"),
    *("network_attempts", "network_window", "total_attempts", "total_window"),
    *("known_attempts", "known_window", "known_total_attempts"),
    *("hosts", "cors_origins", "hsts_seconds", "hsts_always"),
    *("shortest_password", "reset_link_lifetime", "invitation_lifetime", "mail_sender"),
    *("mail_from", "smtp_host", "smtp_port", "smtp_security", "smtp_ca_file", "smtp_username"),
    *("smtp_password", "header_timeout", "body_timeout", "slow_bodies", "max_connections"),
)
"""Settings that only the auth service reads, beside those above."""
