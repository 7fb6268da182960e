"""The paths of the front door, which name the proxy that asks and the policy that applies.

Envoy appends the path of the original request, which the client chooses. In its endpoints the
policy is therefore named before the first slash that follows, so no client can choose its policy.
"""

import re
from typing import Final, NamedTuple

from clusterpass.service.authz.original_request import FAMILIES
from clusterpass.service.authz.policy import POLICY_NAME

PREFIX: Final = "/authz/"
_NAME: Final = rf"(?P<policy>{POLICY_NAME.pattern})"
_WITH_SUFFIX: Final = "envoy"
_PROXIES: Final = "|".join(name for name in FAMILIES if name != _WITH_SUFFIX)
_FORMS: Final = (
    re.compile(rf"{PREFIX}(?P<proxy>{_PROXIES})(?:/{_NAME})?(?P<suffix>)"),
    re.compile(rf"{PREFIX}(?P<proxy>{_WITH_SUFFIX})(?::{_NAME})?(?P<suffix>(?:/.*)?)", re.DOTALL),
)


class Endpoint(NamedTuple):
    """The proxy, the policy and the rest of the path that a front-door request names."""

    proxy: str
    """A key of ``FAMILIES``."""
    policy: str
    """The name of the policy; empty: the one without a name."""
    suffix: str
    """The path of the original request, as the client sent it; empty where headers tell it."""

    @property
    def shown(self) -> str:
        """The path without what a client has chosen, for the log."""
        between = ":" if self.proxy == _WITH_SUFFIX else "/"
        return f"{PREFIX}{self.proxy}{between if self.policy else ''}{self.policy}"


def find_endpoint(raw_path: str) -> Endpoint | None:
    """Return what a path says; None when it is none of the front door.

    ``raw_path``: as it was sent, without the query and not decoded.
    """
    for form in _FORMS:
        found = form.fullmatch(raw_path)
        if found:
            return Endpoint(found["proxy"], found["policy"] or "", found["suffix"])
    return None
