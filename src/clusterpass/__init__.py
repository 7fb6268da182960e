"""ClusterPass: distributed JWT sessions on a Redis / Valkey Cluster.

``__all__`` lists the public names; everything else may change between releases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterpass.config import (
        Compatibility as Compatibility,
        Config as Config,
        Durability as Durability,
        RefreshRetry as RefreshRetry,
        StoredAddresses as StoredAddresses,
        VerificationMode as VerificationMode,
    )
    from clusterpass.embedded import EmbeddedCluster as EmbeddedCluster, TlsFiles as TlsFiles
    from clusterpass.jwks.verifiers import AsyncTokenVerifier as AsyncTokenVerifier
    from clusterpass.managers.aio.manager import AsyncSessionManager as AsyncSessionManager
    from clusterpass.managers.aio.session_watch import AsyncSessionWatch as AsyncSessionWatch
    from clusterpass.managers.sync.manager import SessionManager as SessionManager
    from clusterpass.managers.sync.session_watch import SessionWatch as SessionWatch
    from clusterpass.model.acting import acting as acting
    from clusterpass.model.audit import (
        AuditEntry as AuditEntry,
        AuditFault as AuditFault,
        AuditFaultKind as AuditFaultKind,
        AuditOutcome as AuditOutcome,
        AuditPage as AuditPage,
        AuditPolicy as AuditPolicy,
        AuditReport as AuditReport,
        AuditStats as AuditStats,
    )
    from clusterpass.model.authentication_errors import (
        AuthenticationError as AuthenticationError,
        InvalidCredentials as InvalidCredentials,
        InvalidRefreshToken as InvalidRefreshToken,
        InvalidToken as InvalidToken,
        RefreshTokenReused as RefreshTokenReused,
        SessionExpired as SessionExpired,
        SessionRevoked as SessionRevoked,
        SessionUnknown as SessionUnknown,
        StepUpRequired as StepUpRequired,
        TokenAudienceInvalid as TokenAudienceInvalid,
        TokenExpired as TokenExpired,
        TokenIssuerInvalid as TokenIssuerInvalid,
        TokenKeyUnknown as TokenKeyUnknown,
        TokenMalformed as TokenMalformed,
        TokenMissing as TokenMissing,
        TokenNotYetValid as TokenNotYetValid,
        TokenSignatureInvalid as TokenSignatureInvalid,
        TokenSuperseded as TokenSuperseded,
        TokenTypeInvalid as TokenTypeInvalid,
    )
    from clusterpass.model.bans import Ban as Ban
    from clusterpass.model.errors import (
        AccessDenied as AccessDenied,
        AdministratorRequired as AdministratorRequired,
        ClusterPassError as ClusterPassError,
        ConfigurationError as ConfigurationError,
        EmbeddedClusterError as EmbeddedClusterError,
        ImpersonationRefused as ImpersonationRefused,
        InvalidInput as InvalidInput,
        KeyRejected as KeyRejected,
        KeysUnavailable as KeysUnavailable,
        LinkInvalid as LinkInvalid,
        LocalServerFailed as LocalServerFailed,
        LoginOvertaken as LoginOvertaken,
        MailFailed as MailFailed,
        OperationMismatch as OperationMismatch,
        PasswordRefused as PasswordRefused,
        RequestRefused as RequestRefused,
        RevocationPending as RevocationPending,
        ScopeMissing as ScopeMissing,
        SessionNotFound as SessionNotFound,
        StoreDenied as StoreDenied,
        StoreFailed as StoreFailed,
        StoreUnavailable as StoreUnavailable,
        SubjectBanned as SubjectBanned,
        TooManyAttempts as TooManyAttempts,
        TooManyBans as TooManyBans,
        UnreadableRecord as UnreadableRecord,
        UserExists as UserExists,
        UserNotFound as UserNotFound,
    )
    from clusterpass.model.events import (
        EventKind as EventKind,
        HistoryEntry as HistoryEntry,
        ListenerScope as ListenerScope,
        SessionEvent as SessionEvent,
    )
    from clusterpass.model.policy import Overflow as Overflow, SessionPolicy as SessionPolicy
    from clusterpass.model.reasons import (
        ReuseClass as ReuseClass,
        RevocationReason as RevocationReason,
        explain_end as explain_end,
    )
    from clusterpass.model.scopes import granted_scopes as granted_scopes
    from clusterpass.model.statistics import (
        CacheStats as CacheStats,
        ListenerStats as ListenerStats,
        ManagerStats as ManagerStats,
        NodeStats as NodeStats,
        PendingStats as PendingStats,
    )
    from clusterpass.model.values import (
        AccessClaims as AccessClaims,
        Actor as Actor,
        Applied as Applied,
        ChangeKind as ChangeKind,
        Ended as Ended,
        OnlineCount as OnlineCount,
        OnlinePage as OnlinePage,
        RevokedBefore as RevokedBefore,
        Session as Session,
        SessionChange as SessionChange,
        TokenPair as TokenPair,
        TooManySessions as TooManySessions,
    )
    from clusterpass.sessions.options import (
        LoginOptions as LoginOptions,
        SessionOptions as SessionOptions,
    )
    from clusterpass.sessions.token_subject import subject_of_token as subject_of_token
    from clusterpass.store.credentials import Credentials as Credentials
    from clusterpass.store.drivers.aio import AsyncStore as AsyncStore
    from clusterpass.store.drivers.sync import SyncStore as SyncStore
    from clusterpass.store.location import StoreLocation as StoreLocation
    from clusterpass.store.protocol import AwaitableStore as AwaitableStore, Store as Store
    from clusterpass.store.store_url import parse_store_url as parse_store_url
    from clusterpass.tokens.algorithms import SigningAlgorithm as SigningAlgorithm
    from clusterpass.tokens.identifiers import (
        check_subject as check_subject,
        is_session_id as is_session_id,
    )
    from clusterpass.tokens.issuer import TokenIssuer as TokenIssuer
    from clusterpass.tokens.key_file import KeyFile as KeyFile, KeyFileAccess as KeyFileAccess
    from clusterpass.tokens.keyring import KeyRing as KeyRing
    from clusterpass.tokens.managed_keys import (
        ManagedKey as ManagedKey,
        ManagedKeys as ManagedKeys,
    )
    from clusterpass.tokens.signer import Signer as Signer
    from clusterpass.tokens.verifier import TokenVerifier as TokenVerifier
    from clusterpass.users.aio.directory import AsyncUserDirectory as AsyncUserDirectory
    from clusterpass.users.aio.throttle import AsyncLoginThrottle as AsyncLoginThrottle
    from clusterpass.users.directory import User as User
    from clusterpass.users.hashing import AsyncHashing as AsyncHashing, Hashing as Hashing
    from clusterpass.users.one_time_links import OneTimeLink as OneTimeLink
    from clusterpass.users.password_policy import PasswordPolicy as PasswordPolicy
    from clusterpass.users.passwords import (
        PasswordHasher as PasswordHasher,
        check_password as check_password,
    )
    from clusterpass.users.sync.directory import UserDirectory as UserDirectory
    from clusterpass.users.sync.throttle import LoginThrottle as LoginThrottle
    from clusterpass.users.throttle import ThrottlePolicy as ThrottlePolicy

# Names are imported on first use: a resource server that only verifies tokens never loads a
# driver, and a program that starts a cluster never loads a web framework.
_HOMES = {
    "AccessClaims": "model.values",
    "AccessDenied": "model.errors",
    "Actor": "model.values",
    "AdministratorRequired": "model.errors",
    "Applied": "model.values",
    "AsyncHashing": "users.hashing",
    "AsyncLoginThrottle": "users.aio.throttle",
    "AsyncSessionManager": "managers.aio.manager",
    "AsyncSessionWatch": "managers.aio.session_watch",
    "AsyncStore": "store.drivers.aio",
    "AsyncTokenVerifier": "jwks.verifiers",
    "AsyncUserDirectory": "users.aio.directory",
    "AuditEntry": "model.audit",
    "AuditFault": "model.audit",
    "AuditFaultKind": "model.audit",
    "AuditOutcome": "model.audit",
    "AuditPage": "model.audit",
    "AuditPolicy": "model.audit",
    "AuditReport": "model.audit",
    "AuditStats": "model.audit",
    "AuthenticationError": "model.authentication_errors",
    "AwaitableStore": "store.protocol",
    "Ban": "model.bans",
    "CacheStats": "model.statistics",
    "ChangeKind": "model.values",
    "ClusterPassError": "model.errors",
    "Compatibility": "config",
    "Config": "config",
    "ConfigurationError": "model.errors",
    "Credentials": "store.credentials",
    "Durability": "config",
    "EmbeddedCluster": "embedded",
    "EmbeddedClusterError": "model.errors",
    "Ended": "model.values",
    "EventKind": "model.events",
    "Hashing": "users.hashing",
    "HistoryEntry": "model.events",
    "ImpersonationRefused": "model.errors",
    "InvalidCredentials": "model.authentication_errors",
    "InvalidInput": "model.errors",
    "InvalidRefreshToken": "model.authentication_errors",
    "InvalidToken": "model.authentication_errors",
    "KeyFile": "tokens.key_file",
    "KeyFileAccess": "tokens.key_file",
    "KeyRejected": "model.errors",
    "KeyRing": "tokens.keyring",
    "KeysUnavailable": "model.errors",
    "LinkInvalid": "model.errors",
    "ListenerScope": "model.events",
    "ListenerStats": "model.statistics",
    "LocalServerFailed": "model.errors",
    "LoginOptions": "sessions.options",
    "LoginOvertaken": "model.errors",
    "LoginThrottle": "users.sync.throttle",
    "MailFailed": "model.errors",
    "ManagedKey": "tokens.managed_keys",
    "ManagedKeys": "tokens.managed_keys",
    "ManagerStats": "model.statistics",
    "NodeStats": "model.statistics",
    "OneTimeLink": "users.one_time_links",
    "OnlineCount": "model.values",
    "OnlinePage": "model.values",
    "OperationMismatch": "model.errors",
    "Overflow": "model.policy",
    "PasswordHasher": "users.passwords",
    "PasswordPolicy": "users.password_policy",
    "PasswordRefused": "model.errors",
    "PendingStats": "model.statistics",
    "RefreshRetry": "config",
    "RefreshTokenReused": "model.authentication_errors",
    "RequestRefused": "model.errors",
    "ReuseClass": "model.reasons",
    "RevocationPending": "model.errors",
    "RevocationReason": "model.reasons",
    "RevokedBefore": "model.values",
    "ScopeMissing": "model.errors",
    "Session": "model.values",
    "SessionChange": "model.values",
    "SessionEvent": "model.events",
    "SessionExpired": "model.authentication_errors",
    "SessionManager": "managers.sync.manager",
    "SessionNotFound": "model.errors",
    "SessionOptions": "sessions.options",
    "SessionPolicy": "model.policy",
    "SessionRevoked": "model.authentication_errors",
    "SessionUnknown": "model.authentication_errors",
    "SessionWatch": "managers.sync.session_watch",
    "Signer": "tokens.signer",
    "SigningAlgorithm": "tokens.algorithms",
    "StepUpRequired": "model.authentication_errors",
    "Store": "store.protocol",
    "StoreDenied": "model.errors",
    "StoreFailed": "model.errors",
    "StoreLocation": "store.location",
    "StoreUnavailable": "model.errors",
    "StoredAddresses": "config",
    "SubjectBanned": "model.errors",
    "SyncStore": "store.drivers.sync",
    "ThrottlePolicy": "users.throttle",
    "TlsFiles": "embedded",
    "TokenAudienceInvalid": "model.authentication_errors",
    "TokenExpired": "model.authentication_errors",
    "TokenIssuer": "tokens.issuer",
    "TokenIssuerInvalid": "model.authentication_errors",
    "TokenKeyUnknown": "model.authentication_errors",
    "TokenMalformed": "model.authentication_errors",
    "TokenMissing": "model.authentication_errors",
    "TokenNotYetValid": "model.authentication_errors",
    "TokenPair": "model.values",
    "TokenSignatureInvalid": "model.authentication_errors",
    "TokenSuperseded": "model.authentication_errors",
    "TokenTypeInvalid": "model.authentication_errors",
    "TokenVerifier": "tokens.verifier",
    "TooManyAttempts": "model.errors",
    "TooManyBans": "model.errors",
    "TooManySessions": "model.values",
    "UnreadableRecord": "model.errors",
    "User": "users.directory",
    "UserDirectory": "users.sync.directory",
    "UserExists": "model.errors",
    "UserNotFound": "model.errors",
    "VerificationMode": "config",
    "acting": "model.acting",
    "check_password": "users.passwords",
    "check_subject": "tokens.identifiers",
    "explain_end": "model.reasons",
    "granted_scopes": "model.scopes",
    "is_session_id": "tokens.identifiers",
    "parse_store_url": "store.store_url",
    "subject_of_token": "sessions.token_subject",
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
