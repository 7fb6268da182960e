"""ClusterPass: distributed JWT sessions on a Redis / Valkey Cluster.

The public names are the ones below; everything else may change between releases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterpass.aio import AsyncSessionManager as AsyncSessionManager
    from clusterpass.aio_users import AsyncUserDirectory as AsyncUserDirectory
    from clusterpass.config import Config as Config
    from clusterpass.errors import AdministratorRequired as AdministratorRequired
    from clusterpass.errors import AuthenticationError as AuthenticationError
    from clusterpass.errors import ClusterPassError as ClusterPassError
    from clusterpass.errors import ConfigurationError as ConfigurationError
    from clusterpass.errors import ImpersonationRefused as ImpersonationRefused
    from clusterpass.errors import InvalidCredentials as InvalidCredentials
    from clusterpass.errors import InvalidInput as InvalidInput
    from clusterpass.errors import InvalidRefreshToken as InvalidRefreshToken
    from clusterpass.errors import InvalidToken as InvalidToken
    from clusterpass.errors import LoginOvertaken as LoginOvertaken
    from clusterpass.errors import RefreshTokenReused as RefreshTokenReused
    from clusterpass.errors import RevocationPending as RevocationPending
    from clusterpass.errors import ScopeMissing as ScopeMissing
    from clusterpass.errors import SessionExpired as SessionExpired
    from clusterpass.errors import SessionNotFound as SessionNotFound
    from clusterpass.errors import SessionRevoked as SessionRevoked
    from clusterpass.errors import SessionUnknown as SessionUnknown
    from clusterpass.errors import StepUpRequired as StepUpRequired
    from clusterpass.errors import StoreUnavailable as StoreUnavailable
    from clusterpass.errors import SubjectBanned as SubjectBanned
    from clusterpass.errors import TokenExpired as TokenExpired
    from clusterpass.errors import TooManyAttempts as TooManyAttempts
    from clusterpass.errors import TooManyBans as TooManyBans
    from clusterpass.errors import TooManySessions as TooManySessions
    from clusterpass.errors import UserExists as UserExists
    from clusterpass.errors import UserNotFound as UserNotFound
    from clusterpass.manager import SessionManager as SessionManager
    from clusterpass.models import AccessClaims as AccessClaims
    from clusterpass.models import AccessToken as AccessToken
    from clusterpass.models import Actor as Actor
    from clusterpass.models import Applied as Applied
    from clusterpass.models import Ban as Ban
    from clusterpass.models import CacheStats as CacheStats
    from clusterpass.models import Ended as Ended
    from clusterpass.models import HistoryEntry as HistoryEntry
    from clusterpass.models import ManagerStats as ManagerStats
    from clusterpass.models import NodeStats as NodeStats
    from clusterpass.models import OnlineCount as OnlineCount
    from clusterpass.models import OnlinePage as OnlinePage
    from clusterpass.models import PendingStats as PendingStats
    from clusterpass.models import RevokedBefore as RevokedBefore
    from clusterpass.models import Session as Session
    from clusterpass.models import SessionEvent as SessionEvent
    from clusterpass.models import TokenPair as TokenPair
    from clusterpass.policy import SessionPolicy as SessionPolicy
    from clusterpass.store.embedded import EmbeddedCluster as EmbeddedCluster
    from clusterpass.tokens.issuer import TokenIssuer as TokenIssuer
    from clusterpass.tokens.keyring import KeyRing as KeyRing
    from clusterpass.tokens.verifier import TokenVerifier as TokenVerifier
    from clusterpass.users import UserDirectory as UserDirectory

# Names are imported when they are first used: a resource server that only verifies tokens never
# loads a driver, a program that starts a cluster never loads a web framework.
_HOMES = {
    "AccessClaims": "models",
    "AccessToken": "models",
    "Actor": "models",
    "AdministratorRequired": "errors",
    "Applied": "models",
    "AsyncSessionManager": "aio",
    "AsyncUserDirectory": "aio_users",
    "AuthenticationError": "errors",
    "Ban": "models",
    "CacheStats": "models",
    "ClusterPassError": "errors",
    "Config": "config",
    "ConfigurationError": "errors",
    "EmbeddedCluster": "store.embedded",
    "Ended": "models",
    "HistoryEntry": "models",
    "ImpersonationRefused": "errors",
    "InvalidCredentials": "errors",
    "InvalidInput": "errors",
    "InvalidRefreshToken": "errors",
    "InvalidToken": "errors",
    "KeyRing": "tokens.keyring",
    "LoginOvertaken": "errors",
    "ManagerStats": "models",
    "NodeStats": "models",
    "OnlineCount": "models",
    "OnlinePage": "models",
    "PendingStats": "models",
    "RefreshTokenReused": "errors",
    "RevocationPending": "errors",
    "RevokedBefore": "models",
    "ScopeMissing": "errors",
    "Session": "models",
    "SessionEvent": "models",
    "SessionExpired": "errors",
    "SessionManager": "manager",
    "SessionNotFound": "errors",
    "SessionPolicy": "policy",
    "SessionRevoked": "errors",
    "SessionUnknown": "errors",
    "StepUpRequired": "errors",
    "StoreUnavailable": "errors",
    "SubjectBanned": "errors",
    "TokenExpired": "errors",
    "TokenIssuer": "tokens.issuer",
    "TokenPair": "models",
    "TokenVerifier": "tokens.verifier",
    "TooManyAttempts": "errors",
    "TooManyBans": "errors",
    "TooManySessions": "errors",
    "UserDirectory": "users",
    "UserExists": "errors",
    "UserNotFound": "errors",
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
