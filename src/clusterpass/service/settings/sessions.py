"""The settings that govern sessions, and the library's ``Config`` made from them.

The ranges are those of ``Config``, declared here again so that an error names the setting.
"""

from typing import Any, Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from clusterpass import (
    Compatibility,
    Config,
    ConfigurationError,
    Durability,
    KeyRing,
    Overflow,
    RefreshRetry,
    SessionPolicy,
    VerificationMode,
    check_subject,
)
from clusterpass.limits import (
    DAY,
    LEVEL_NAME,
    LONGEST_GRACE,
    LONGEST_LIFETIME,
)
from clusterpass.service.settings.lists import Names, split
from clusterpass.service.settings.records import RecordSettings

_MOST_LEVELS: Final = 16
_SHORTEST_GRACE: Final = 5


class SessionSettings(RecordSettings):
    """Settings for the lifetime, number and verification of sessions."""

    issuer: str = Field(
        default="http://127.0.0.1:8000",
        min_length=1,
        max_length=255,
        description="The `iss` claim of access tokens: the public URL of this service.",
    )
    audience: str = Field(
        default="",
        max_length=255,
        description="The `aud` claim of access tokens; empty: the issuer.",
    )
    client_id: str = Field(
        default="",
        max_length=255,
        description="The `client_id` claim of access tokens; empty: the issuer.",
    )
    access_lifetime: int = Field(
        default=15 * 60,
        ge=10,
        le=DAY,
        description="Lifetime of an access token in seconds. Each token gets up to 5 % less, so"
        " that clients do not all refresh at the same time.",
    )
    absolute_lifetime: int = Field(
        default=30 * DAY,
        ge=10,
        le=LONGEST_LIFETIME,
        description="Maximum lifetime of a session in seconds, from its login.",
    )
    idle_lifetime: int = Field(
        default=7 * DAY,
        ge=0,
        le=LONGEST_LIFETIME,
        description="Seconds without use after which a session ends; 0: no limit.",
    )
    remember_lifetime: int = Field(
        default=90 * DAY,
        ge=10,
        le=LONGEST_LIFETIME,
        description="The absolute_lifetime of sessions opened with `remember`.",
    )
    remember_idle_lifetime: int = Field(
        default=30 * DAY,
        ge=0,
        le=LONGEST_LIFETIME,
        description="The idle_lifetime of sessions opened with `remember`; 0: no limit.",
    )
    activity_interval: int = Field(
        default=300,
        ge=0,
        le=DAY,
        description="Seconds between two recordings of a session's use, for some sessions up to a"
        " quarter less; 0: only refreshes are recorded.",
    )
    refresh_grace: int = Field(
        default=30,
        ge=0,
        le=300,
        description="Seconds in which a used refresh token may be presented again and yields the"
        " same new token, for clients that lost the response: 5 to 300; 0: strictly single use.",
    )
    refresh_retry: RefreshRetry | None = Field(
        default=None,
        description="How long the refresh token before the current one may be presented again:"
        " `until_used`: until a token of the response has been used, so that clients that lost it"
        " stay logged in; `grace`: for refresh_grace seconds. By default `grace` with stateless"
        " verification, and `until_used` otherwise.",
    )
    compatibility: Compatibility = Field(
        default="current",
        description="Which release reads what is written: `current`, this one; `previous`, the one"
        " before as well, while servers of both run, and as long as you may go back (how-to:"
        " upgrade).",
    )
    max_sessions: int = Field(
        default=50,
        ge=1,
        le=500,
        description="Maximum sessions per user; overflow decides what happens beyond that. With 1,"
        " each login replaces the previous one.",
    )
    max_per_device: int = Field(
        default=0,
        ge=0,
        le=500,
        description="Maximum sessions per user and device type; 0: no limit.",
    )
    overflow: Overflow = Field(
        default="oldest",
        description="What happens to a login beyond the maximum: `oldest` ends the oldest session,"
        " `least_recently_used` the least recently used one, `refuse` rejects the login.",
    )
    levels: Names = Field(
        default="1,2,3",
        validate_default=True,
        description="The authentication levels (`acr`), in ascending order, separated by commas; a"
        " login has the first.",
    )
    step_up_ends_older_tokens: bool = Field(
        default=False,
        description="Whether a step-up ends the tokens that its session had before. Otherwise these"
        " keep the level of the login.",
    )
    verification: VerificationMode = Field(
        default="cached",
        description="How access tokens are verified: `cached` uses memory that the store"
        " invalidates, `strict` asks the store every time, `stateless` checks only the token.",
    )
    staleness_bound: float = Field(
        default=0.5,
        ge=0.05,
        le=60,
        description="Maximum seconds for which a revoked session may still be accepted after the"
        " revocation was acknowledged, whatever happens to the cluster or the network.",
    )
    cache_entries: int = Field(
        default=100_000,
        ge=1,
        le=100_000_000,
        description="Maximum access tokens in the cache of each worker.",
    )
    cache_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=2**20,
        le=2**40,
        description="Approximate maximum size of the cache of each worker, in bytes.",
    )
    durability: Durability = Field(
        default="replicated",
        description="What a write waits for: `replicated`, for a replica to acknowledge it;"
        " `fsync`, for it to be on disk (Redis 7.2 or Valkey, with appendonly yes); `primary`, for"
        " nothing.",
    )
    outage_grace: float = Field(
        default=0,
        ge=0,
        le=LONGEST_GRACE,
        description="Stale-while-error: during a store outage, GET /verify accepts a session that"
        " the same worker verified at most this many seconds ago, for read-only requests; 0: off. A"
        " request may override it: `?outage_grace=`.",
    )
    administrators: Names = Field(
        default=(),
        description="Subjects with access to /admin and the administration pages, separated by"
        " commas. They cannot be impersonated.",
    )
    protected_subjects: Names = Field(
        default=(),
        description="Other subjects that cannot be impersonated, separated by commas.",
    )

    @field_validator("levels", "administrators", "protected_subjects", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return split(value)

    @field_validator("levels")
    @classmethod
    def _levels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if (
            not 1 <= len(value) <= _MOST_LEVELS
            or len(set(value)) < len(value)
            or not all(LEVEL_NAME.fullmatch(level) for level in value)
        ):
            raise ValueError(
                "give 1 to 16 distinct names of letters, digits and ._:/#-, separated by commas"
            )
        return value

    @field_validator("administrators", "protected_subjects")
    @classmethod
    def _subjects(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for subject in value:
            check_subject(subject)
        # As sessions are opened for the name in composed letters, however it is typed here.
        return tuple(dict.fromkeys(form for each in value for form in (each, _prepared(each))))

    @field_validator("refresh_grace")
    @classmethod
    def _long_enough(cls, value: int) -> int:
        if 0 < value < _SHORTEST_GRACE:
            raise ValueError("give 0, or 5 to 300 seconds")
        return value

    @model_validator(mode="after")
    def _consistent_lifetimes(self) -> Self:
        for name in ("idle_lifetime", "remember_idle_lifetime"):
            if 0 < getattr(self, name) < self.access_lifetime:
                raise ValueError(f"{name} must not be shorter than access_lifetime")
        return self

    def require_signer(self, keys: KeyRing) -> None:
        """Raise ConfigurationError for keys none of which signs."""
        if not keys.can_sign:
            raise ConfigurationError(
                f"keys_file: {self.keys_file} contains only public keys; the service needs a"
                " private key. Create one with: clusterpass keys generate"
            )

    def holding_secrets(self) -> Self:
        """Return these settings with the secrets in place of the files that hold them: a worker
        that is replaced later reads no file again. Raises ConfigurationError."""
        names = ("refresh_secrets", "key_encryption_keys")
        in_files = [name for name in names if getattr(self, f"{name}_file") is not None]
        if not in_files:
            return self
        keys = self.key_ring() if self.managed_keys else KeyRing.generate()
        config, found = self.session_config(keys), dict[str, Any]()
        for name in in_files:
            found |= {name: SecretStr(",".join(getattr(config, name))), f"{name}_file": None}
        return self.model_copy(update=found)

    def session_config(self, keys: KeyRing | None = None) -> Config:
        """Return the library's configuration, with ``keys``, by default those in ``keys_file``.

        Raises ConfigurationError.
        """
        if keys is None:
            keys = self.key_ring()
        self.require_signer(keys)
        settings: dict[str, Any] = {
            "issuer": self.issuer,
            "audience": self.audience,
            "client_id": self.client_id,
            "keys": keys,
            "access_lifetime": self.access_lifetime,
            "absolute_lifetime": self.absolute_lifetime,
            "idle_lifetime": self.idle_lifetime,
            "remember_lifetime": self.remember_lifetime,
            "remember_idle_lifetime": self.remember_idle_lifetime,
            "activity_interval": self.activity_interval,
            "refresh_grace": self.refresh_grace,
            "refresh_retry": self.refresh_retry,
            "compatibility": self.compatibility,
            "policy": SessionPolicy(
                max_sessions=self.max_sessions,
                max_per_device=self.max_per_device,
                overflow=self.overflow,
            ),
            "levels": self.levels,
            "step_up_ends_older_tokens": self.step_up_ends_older_tokens,
            "protected_subjects": frozenset(self.administrators)
            | frozenset(self.protected_subjects),
            "verification": self.verification,
            "staleness_bound": self.staleness_bound,
            "durability": self.durability,
            "outage_grace": self.outage_grace,
            "cache_entries": self.cache_entries,
            "cache_bytes": self.cache_bytes,
        }
        return Config.from_settings(settings | self.records() | self.secrets())


def _prepared(name: str) -> str:
    if name.isascii():
        return name
    from clusterpass import UserDirectory  # noqa: PLC0415 (it takes long to load)

    return UserDirectory.prepared_name(name)
