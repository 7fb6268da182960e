"""The causes of an unavailable store, with one sentence for operators about each."""

from collections.abc import Mapping
from typing import Final, Literal

StoreCause = Literal[
    "refused",
    "name_unknown",
    "timed_out",
    "unreachable",
    "lost",
    "tls",
    "authentication",
    "rights",
    "read_only",
    "no_quorum",
    "loading",
    "moving",
    "busy",
    "full",
    "clock",
    "unconfirmed",
    "closed",
]
"""Why a store is unavailable, as :class:`StoreUnavailable` tells operators."""
SENTENCES: Final[Mapping[str, str]] = {
    "refused": "the connection was refused",
    "name_unknown": "the name of the host is unknown",
    "timed_out": "no answer in time",
    "unreachable": "the network does not lead there",
    "lost": "the connection was lost",
    "tls": "the TLS handshake failed, or the certificate is not accepted",
    "authentication": "the user or the password is wrong",
    "rights": "the user lacks a right",
    "read_only": "the server is a replica, which takes no writes",
    "no_quorum": "no majority of the primaries, or of the Sentinels, answers for it",
    "loading": "the server is loading its data",
    "moving": "the slot of the key is moving, or has another owner",
    "busy": "too much waits for the server, or it takes no more connections",
    "full": "the server has no room for writes",
    "clock": "the clocks are too far apart",
    "unconfirmed": "a write was not confirmed",
    "closed": "the session manager was closed",
}
"""What is the matter, by cause."""
