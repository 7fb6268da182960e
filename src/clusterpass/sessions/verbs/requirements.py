"""Parses the requirements of a verify, and checks the user's authentication against them."""

from dataclasses import dataclass
from typing import Final

from clusterpass.config import Config, VerificationMode, check_grace, check_mode
from clusterpass.model.errors import InvalidInput
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import read_stored
from clusterpass.sessions.authentication import (
    as_token_sees,
    authentications,
    require_authentication,
)
from clusterpass.sessions.check_arguments import check_level, check_seconds
from clusterpass.sessions.memory.entries import CachedSession, CachedToken

_LONGEST_AGE: Final = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True)
class Wanted:
    """The requirements of a verify's caller."""

    mode: VerificationMode
    level: str | None
    """The least level of authentication (``acr``); None: any."""
    max_auth_age: int | None
    """The most seconds since the user authenticated; None: any."""
    outage_grace: float
    """The most seconds since the session was seen live that are accepted in an outage."""
    seconds: float
    """How long the store may take to answer."""
    notes_use: bool = True
    """Whether the store is told that the session is in use, and the token."""


class Requirements:
    """Reads what callers require, and checks the authentication of sessions against it."""

    def __init__(self, config: Config, deadline: float) -> None:
        """``deadline``: the seconds that the store may take to answer."""
        self._config = config
        self._deadline = deadline
        self._usual: dict[VerificationMode | None, Wanted] = {}
        """What is required where nothing but a mode is asked for."""

    def read(
        self,
        level: str | None,
        max_auth_age: int | None,
        verification: VerificationMode | None,
        outage_grace: float | None,
    ) -> Wanted:
        """Return what the arguments of a verify require; raise InvalidInput for a wrong one."""
        is_usual = level is None and max_auth_age is None and outage_grace is None
        if is_usual and (verification is None or isinstance(verification, str)):
            usual = self._usual.get(verification)
            if usual is not None:
                return usual
        config = self._config
        if outage_grace is None:
            # A caller that chooses the mode gets that mode, and no grace unless it asks for one.
            outage_grace = config.outage_grace if verification is None else 0
        else:
            check_grace(outage_grace, InvalidInput)
        if level is not None:
            check_level(config.levels, level)
        if max_auth_age is not None:
            check_seconds("max_auth_age", max_auth_age, 0, _LONGEST_AGE)
        mode = config.verification
        if verification is not None and verification != mode:
            check_mode(verification, InvalidInput)
            if verification == "cached":
                raise InvalidInput("nothing is cached here; it needs Config(verification='cached')")
            mode = verification
        wanted = Wanted(mode, level, max_auth_age, outage_grace, self._deadline)
        if is_usual:
            self._usual[verification] = wanted
        return wanted

    def check(self, entry: CachedToken, loaded: CachedSession, now: float, wanted: Wanted) -> None:
        """Raise StepUpRequired unless the user authenticated as the caller requires."""
        if wanted.level is None and wanted.max_auth_age is None:
            return
        stored = read_stored([int(now * 1000), *loaded.raw])
        stored = as_token_sees(stored, entry.step_up)
        assert isinstance(stored.record, LiveRecord)
        found = authentications(self._config, stored, stored.record)
        require_authentication(self._config, found, now, wanted.level, wanted.max_auth_age)
