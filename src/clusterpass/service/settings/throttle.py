"""The settings of the login throttle."""

from pydantic import Field

from clusterpass import ThrottlePolicy
from clusterpass.limits import DAY
from clusterpass.service.settings.page import LooksSettings


class ThrottleSettings(LooksSettings):
    """Settings for the counters of the login throttle: attempts, and time windows."""

    account_attempts: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Maximum login attempts of strangers per account within account_window, however"
        " its name is spelt. Successful ones do not count.",
    )
    account_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the login attempts of an account are counted.",
    )
    address_attempts: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Maximum login attempts per client address (IPv6: per /64) within"
        " address_window.",
    )
    address_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the login attempts of an address are counted.",
    )
    network_attempts: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Maximum login attempts per IPv6 /48 within network_window.",
    )
    network_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the login attempts of an IPv6 /48 are counted.",
    )
    total_attempts: int = Field(
        default=100_000,
        ge=1,
        le=1_000_000,
        description="Maximum login attempts of all strangers together within total_window.",
    )
    total_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the login attempts of all strangers are counted.",
    )
    known_attempts: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Maximum passwords tried within known_window in a live session (a step-up), or"
        " at its user's account in a browser that the user has logged in with before. These are"
        " counted here alone, so that strangers cannot use them up.",
    )
    known_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the passwords tried in a session or a known browser are"
        " counted.",
    )
    known_total_attempts: int = Field(
        default=50,
        ge=1,
        le=1_000_000,
        description="Maximum passwords tried within known_window in all live sessions and known"
        " browsers of one user together; further ones count as those of strangers.",
    )

    def throttle(self) -> ThrottlePolicy:
        """Return the limits of the login throttle."""
        return ThrottlePolicy(
            account_attempts=self.account_attempts,
            account_window=self.account_window,
            address_attempts=self.address_attempts,
            address_window=self.address_window,
            network_attempts=self.network_attempts,
            network_window=self.network_window,
            total_attempts=self.total_attempts,
            total_window=self.total_window,
            known_attempts=self.known_attempts,
            known_window=self.known_window,
            known_total_attempts=self.known_total_attempts,
        )
