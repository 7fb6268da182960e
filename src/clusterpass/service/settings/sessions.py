"""The settings that decide about sessions, and the library's configuration that follows from them.

What a value may be is said here as in ``Config``, so that a wrong one is named as a setting.
"""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from clusterpass import (
    Config,
    ConfigurationError,
    Durability,
    KeyRing,
    Overflow,
    SessionPolicy,
    VerificationMode,
    check_subject,
    parse_store_url,
)
from clusterpass.limits import (
    DAY,
    LEVEL_NAME,
    LONGEST_GRACE,
    LONGEST_LIFETIME,
)

Names = Annotated[tuple[str, ...], NoDecode]
_DEFAULT_STORE: Final = "redis+cluster://127.0.0.1:7000"
_MOST_LEVELS: Final = 16
_SHORTEST_GRACE: Final = 5


class SessionSettings(BaseSettings):
    """Where sessions are kept, how long they live, and whom the rules except."""

    store_url: SecretStr = Field(
        default=SecretStr(_DEFAULT_STORE),
        description="Where the session store is: redis+cluster://host:port[,host:port...],"
        " rediss+cluster:// for TLS, redis:// for one server, embedded:// for a trial.",
    )
    keys_file: Path = Field(
        default=Path("keys.json"),
        description="A JWK Set with private keys; the first one signs, all of them verify."
        " Make it with: clusterpass keys generate",
    )
    issuer: str = Field(
        default="http://127.0.0.1:8000",
        min_length=1,
        max_length=255,
        description="The `iss` of the access tokens: the public URL of this service.",
    )
    audience: str = Field(
        default="",
        max_length=255,
        description="The `aud` of the access tokens; the issuer when empty.",
    )
    access_lifetime: int = Field(
        default=15 * 60,
        ge=10,
        le=DAY,
        description="Seconds that an access token lives; each up to 5 % less, so that clients do"
        " not refresh together.",
    )
    absolute_lifetime: int = Field(
        default=30 * DAY,
        ge=10,
        le=LONGEST_LIFETIME,
        description="Seconds after a login at which its session ends.",
    )
    idle_lifetime: int = Field(
        default=7 * DAY,
        ge=0,
        le=LONGEST_LIFETIME,
        description="Seconds without any use after which a session ends; 0: no such limit.",
    )
    remember_lifetime: int = Field(
        default=90 * DAY,
        ge=10,
        le=LONGEST_LIFETIME,
        description="The absolute_lifetime of a login that asks to be remembered.",
    )
    remember_idle_lifetime: int = Field(
        default=30 * DAY,
        ge=0,
        le=LONGEST_LIFETIME,
        description="The idle_lifetime of a login that asks to be remembered; 0: no such limit.",
    )
    activity_interval: int = Field(
        default=300,
        ge=0,
        le=DAY,
        description="Seconds between two notes of a session's use; 0: refreshes alone are noted.",
    )
    refresh_grace: int = Field(
        default=30,
        ge=0,
        le=300,
        description="Seconds in which a refresh token may be presented again and gets the very"
        " same successor: 5 to 300; 0: a refresh token is good once, without exception.",
    )
    max_sessions: int = Field(
        default=50,
        ge=1,
        le=500,
        description="Sessions that a user may have at once; see overflow. 1: the newest login"
        " wins.",
    )
    max_per_device: int = Field(
        default=0,
        ge=0,
        le=500,
        description="Sessions that a user may have on devices of one type; 0: no such limit.",
    )
    overflow: Overflow = Field(
        default="oldest",
        description="What happens to one more session: `oldest` lets the oldest leave,"
        " `least_recently_used` the one that was not used for longest; `refuse` refuses the login.",
    )
    levels: Names = Field(
        default="1,2,3",
        validate_default=True,
        description="The levels of authentication (`acr`), ascending, separated by commas; a login"
        " has the first.",
    )
    history_entries: int = Field(
        default=20, ge=0, le=100, description="Lines of history that are kept for each user."
    )
    history_lifetime: int = Field(
        default=0,
        ge=0,
        le=LONGEST_LIFETIME,
        description="Seconds that a user's history outlives its last line, once no session is"
        " left.",
    )
    index_online: bool = Field(
        default=True,
        description="Whether the store keeps track of who is online; GET /admin/online needs it.",
    )
    verification: VerificationMode = Field(
        default="cached",
        description="How access tokens are verified: `cached` from memory while nothing has"
        " changed, `strict` by asking the store each time, `stateless` by the token alone.",
    )
    staleness_bound: float = Field(
        default=0.5,
        ge=0.05,
        le=60,
        description="Seconds after which no verify accepts a session whose end was acknowledged,"
        " whatever happens to the cluster or the network.",
    )
    cache_entries: int = Field(
        default=100_000,
        ge=1,
        le=100_000_000,
        description="Access tokens that each worker remembers, at most.",
    )
    cache_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=2**20,
        le=2**40,
        description="About how many bytes of memory they may take in each worker.",
    )
    durability: Durability = Field(
        default="replicated",
        description="What a write waits for: `replicated` that a replica has it, `fsync` that it"
        " is on disk (Redis 7.2 or Valkey, with appendonly yes), `primary` nothing.",
    )
    outage_grace: float = Field(
        default=0,
        ge=0,
        le=LONGEST_GRACE,
        description="Seconds: while the session store cannot be asked, GET /verify accepts a"
        " session that the same worker saw alive no longer ago, for requests that only read"
        " (0: none). A route may ask for another time: `?outage_grace=`.",
    )
    administrators: Names = Field(
        default=(),
        description="Subjects that may use /admin and the pages for administrators, separated by"
        " commas. They cannot be impersonated.",
    )
    protected_subjects: Names = Field(
        default=(),
        description="Further subjects that cannot be impersonated, separated by commas.",
    )

    @field_validator("store_url")
    @classmethod
    def _understandable(cls, value: SecretStr) -> SecretStr:
        parse_store_url(value.get_secret_value())
        return value

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
                "give 1 to 16 different names of letters, digits and ._:/#-, separated by commas"
            )
        return value

    @field_validator("administrators", "protected_subjects")
    @classmethod
    def _subjects(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for subject in value:
            check_subject(subject)
        return value

    @field_validator("refresh_grace")
    @classmethod
    def _long_enough(cls, value: int) -> int:
        if 0 < value < _SHORTEST_GRACE:
            raise ValueError("give 0, or 5 to 300 seconds")
        return value

    @model_validator(mode="after")
    def _lifetimes_go_together(self) -> Self:
        for name in ("idle_lifetime", "remember_idle_lifetime"):
            if 0 < getattr(self, name) < self.access_lifetime:
                raise ValueError(f"{name} must not be shorter than access_lifetime")
        return self

    def session_config(self, keys: KeyRing | None = None) -> Config:
        """The library's configuration, with ``keys`` or those of the keys file.

        Raises ConfigurationError.
        """
        if keys is None:
            keys = KeyRing.load(self.keys_file)
        if not keys.can_sign:
            raise ConfigurationError(
                f"keys_file: {self.keys_file} holds public keys only; the service needs a private"
                " one, made with: clusterpass keys generate"
            )
        return Config(
            issuer=self.issuer,
            audience=self.audience,
            keys=keys,
            access_lifetime=self.access_lifetime,
            absolute_lifetime=self.absolute_lifetime,
            idle_lifetime=self.idle_lifetime,
            remember_lifetime=self.remember_lifetime,
            remember_idle_lifetime=self.remember_idle_lifetime,
            activity_interval=self.activity_interval,
            refresh_grace=self.refresh_grace,
            policy=SessionPolicy(
                max_sessions=self.max_sessions,
                max_per_device=self.max_per_device,
                overflow=self.overflow,
            ),
            levels=self.levels,
            protected_subjects=frozenset(self.administrators) | frozenset(self.protected_subjects),
            history_entries=self.history_entries,
            history_lifetime=self.history_lifetime,
            index_online=self.index_online,
            verification=self.verification,
            staleness_bound=self.staleness_bound,
            durability=self.durability,
            outage_grace=self.outage_grace,
            cache_entries=self.cache_entries,
            cache_bytes=self.cache_bytes,
        )


def split(value: object) -> object:
    """The parts of a text that commas separate, without empty ones; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
