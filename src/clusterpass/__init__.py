"""ClusterPass: distributed JWT sessions on a Redis / Valkey Cluster.

The public names are the ones below; everything else may change between releases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterpass.config import Config as Config
    from clusterpass.embedded import EmbeddedCluster as EmbeddedCluster
    from clusterpass.managers.aio import AsyncSessionManager as AsyncSessionManager
    from clusterpass.managers.sync import SessionManager as SessionManager
    from clusterpass.model.errors import AdministratorRequired as AdministratorRequired
    from clusterpass.model.errors import AuthenticationError as AuthenticationError
    from clusterpass.model.errors import ClusterPassError as ClusterPassError
    from clusterpass.model.errors import ConfigurationError as ConfigurationError
    from clusterpass.model.errors import ImpersonationRefused as ImpersonationRefused
    from clusterpass.model.errors import InvalidCredentials as InvalidCredentials
    from clusterpass.model.errors import InvalidInput as InvalidInput
    from clusterpass.model.errors import InvalidRefreshToken as InvalidRefreshToken
    from clusterpass.model.errors import InvalidToken as InvalidToken
    from clusterpass.model.errors import LoginOvertaken as LoginOvertaken
    from clusterpass.model.errors import RefreshTokenReused as RefreshTokenReused
    from clusterpass.model.errors import RevocationPending as RevocationPending
    from clusterpass.model.errors import ScopeMissing as ScopeMissing
    from clusterpass.model.errors import SessionExpired as SessionExpired
    from clusterpass.model.errors import SessionNotFound as SessionNotFound
    from clusterpass.model.errors import SessionRevoked as SessionRevoked
    from clusterpass.model.errors import SessionUnknown as SessionUnknown
    from clusterpass.model.errors import StepUpRequired as StepUpRequired
    from clusterpass.model.errors import StoreUnavailable as StoreUnavailable
    from clusterpass.model.errors import SubjectBanned as SubjectBanned
    from clusterpass.model.errors import TokenExpired as TokenExpired
    from clusterpass.model.errors import TooManyAttempts as TooManyAttempts
    from clusterpass.model.errors import TooManyBans as TooManyBans
    from clusterpass.model.errors import TooManySessions as TooManySessions
    from clusterpass.model.errors import UserExists as UserExists
    from clusterpass.model.errors import UserNotFound as UserNotFound
    from clusterpass.model.policy import SessionPolicy as SessionPolicy
    from clusterpass.model.values import AccessClaims as AccessClaims
    from clusterpass.model.values import AccessToken as AccessToken
    from clusterpass.model.values import Actor as Actor
    from clusterpass.model.values import Applied as Applied
    from clusterpass.model.values import Ban as Ban
    from clusterpass.model.values import CacheStats as CacheStats
    from clusterpass.model.values import Ended as Ended
    from clusterpass.model.values import HistoryEntry as HistoryEntry
    from clusterpass.model.values import ManagerStats as ManagerStats
    from clusterpass.model.values import NodeStats as NodeStats
    from clusterpass.model.values import OnlineCount as OnlineCount
    from clusterpass.model.values import OnlinePage as OnlinePage
    from clusterpass.model.values import PendingStats as PendingStats
    from clusterpass.model.values import RevokedBefore as RevokedBefore
    from clusterpass.model.values import Session as Session
    from clusterpass.model.values import SessionEvent as SessionEvent
    from clusterpass.model.values import TokenPair as TokenPair
    from clusterpass.tokens.issuer import TokenIssuer as TokenIssuer
    from clusterpass.tokens.keyring import KeyRing as KeyRing
    from clusterpass.tokens.verifier import TokenVerifier as TokenVerifier
    from clusterpass.users.aio import AsyncUserDirectory as AsyncUserDirectory
    from clusterpass.users.sync import UserDirectory as UserDirectory

# Names are imported when they are first used: a resource server that only verifies tokens never
# loads a driver, a program that starts a cluster never loads a web framework.
_HOMES = {
    "AccessClaims": "model.values",
    "AccessToken": "model.values",
    "Actor": "model.values",
    "AdministratorRequired": "model.errors",
    "Applied": "model.values",
    "AsyncSessionManager": "managers.aio",
    "AsyncUserDirectory": "users.aio",
    "AuthenticationError": "model.errors",
    "Ban": "model.values",
    "CacheStats": "model.values",
    "ClusterPassError": "model.errors",
    "Config": "config",
    "ConfigurationError": "model.errors",
    "EmbeddedCluster": "embedded",
    "Ended": "model.values",
    "HistoryEntry": "model.values",
    "ImpersonationRefused": "model.errors",
    "InvalidCredentials": "model.errors",
    "InvalidInput": "model.errors",
    "InvalidRefreshToken": "model.errors",
    "InvalidToken": "model.errors",
    "KeyRing": "tokens.keyring",
    "LoginOvertaken": "model.errors",
    "ManagerStats": "model.values",
    "NodeStats": "model.values",
    "OnlineCount": "model.values",
    "OnlinePage": "model.values",
    "PendingStats": "model.values",
    "RefreshTokenReused": "model.errors",
    "RevocationPending": "model.errors",
    "RevokedBefore": "model.values",
    "ScopeMissing": "model.errors",
    "Session": "model.values",
    "SessionEvent": "model.values",
    "SessionExpired": "model.errors",
    "SessionManager": "managers.sync",
    "SessionNotFound": "model.errors",
    "SessionPolicy": "model.policy",
    "SessionRevoked": "model.errors",
    "SessionUnknown": "model.errors",
    "StepUpRequired": "model.errors",
    "StoreUnavailable": "model.errors",
    "SubjectBanned": "model.errors",
    "TokenExpired": "model.errors",
    "TokenIssuer": "tokens.issuer",
    "TokenPair": "model.values",
    "TokenVerifier": "tokens.verifier",
    "TooManyAttempts": "model.errors",
    "TooManyBans": "model.errors",
    "TooManySessions": "model.errors",
    "UserDirectory": "users.sync",
    "UserExists": "model.errors",
    "UserNotFound": "model.errors",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 (sorted gives the list that is wanted)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'clusterpass' has no attribute {name!r}")
    value = getattr(import_module(f"clusterpass.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
