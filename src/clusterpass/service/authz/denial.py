"""Errors for the reasons why the front door denies a request, whatever its session."""

from collections.abc import Mapping
from typing import Final

from clusterpass import (
    AccessDenied,
)

EXPLANATIONS: Final[Mapping[str, str]] = {
    "untrusted_proxy": "The request did not come through a trusted proxy, so that what it asks for"
    " is not known.",
    "repeated_header": "A header that describes the original request was sent more than once.",
    "missing_header": "The proxy did not say which host and path the request asks for.",
    "invalid_method": "The method of the original request is not valid.",
    "invalid_host": "The host of the original request is not valid.",
    "unsafe_path": "The path of the original request could mean different things to different"
    " programs.",
    "unknown_method": "The proxy did not say which method the request has.",
    "unknown_host": "The access policy has no rule for this host.",
    "no_rule": "The access policy has no rule for this request.",
    "denied_by_rule": "The access policy denies this request.",
}
"""Sentences for the reasons of a denial."""


def denied(reason: str) -> AccessDenied:
    """Return the error for one of the reasons above."""
    return AccessDenied(EXPLANATIONS[reason], reason=reason)
