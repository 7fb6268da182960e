"""The settings of signing keys, of the secrets of refresh tokens, and of key encryption keys."""

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr

from clusterpass import KeyFile, KeyFileAccess, KeyRing, ManagedKeys, SigningAlgorithm
from clusterpass.limits import DAY, LONGEST_LIFETIME
from clusterpass.service.settings.lists import split
from clusterpass.service.settings.store import StoreSettings


class KeySettings(StoreSettings):
    """Settings for signing keys, and for the secrets of refresh tokens and of the store."""

    keys_file: Path = Field(
        default=Path("keys.json"),
        description="The path of a JWK Set with private keys, or of keys in PEM: the first key"
        " signs, all of them verify. Create it with: clusterpass keys generate. A changed file is"
        " read again.",
    )
    keys_file_access: KeyFileAccess = Field(
        default="private",
        description="`private`: a keys_file that other users of the machine can read is refused, as"
        " is one that belongs to another user; a group may read a file of root. `any`: it is taken"
        " as it is.",
    )
    keys_passphrase: SecretStr | None = Field(
        default=None, description="The passphrase of encrypted keys in PEM."
    )
    keys_passphrase_file: Path | None = Field(
        default=None,
        description="The path of a file with the passphrase, instead of keys_passphrase.",
    )
    managed_keys: bool = Field(
        default=False,
        description="Whether the store holds the signing keys, wrapped by key_encryption_keys, and"
        " rotates them; keys_file is not read then. See: clusterpass keys list",
    )
    key_algorithm: SigningAlgorithm = Field(
        default="EdDSA", description="The algorithm of the keys that are made in the store."
    )
    key_rotate_after: int = Field(
        default=90 * DAY,
        ge=3600,
        le=LONGEST_LIFETIME,
        description="Seconds for which a key in the store signs.",
    )
    key_publish_before: int = Field(
        default=DAY,
        ge=60,
        le=LONGEST_LIFETIME,
        description="Seconds for which a key in the store is published before it signs.",
    )
    refresh_secrets: SecretStr = Field(
        default=SecretStr(""),
        description="The secrets of refresh tokens, separated by commas: the first makes tokens,"
        " all are accepted. Create one with: clusterpass keys refresh-secret. Empty: the store"
        " holds them, and the first process makes one. 'store' before them: those of the store"
        " make tokens, and these are accepted already.",
    )
    refresh_secrets_file: Path | None = Field(
        default=None, description="A file that holds refresh_secrets."
    )
    key_encryption_keys: SecretStr = Field(
        default=SecretStr(""),
        description="The keys under which secrets lie in the store (AES-256-GCM), separated by"
        " commas: the first wraps, all unwrap. Create one with: clusterpass keys encryption-key."
        " Empty: secrets lie in the store as they are.",
    )
    key_encryption_keys_file: Path | None = Field(
        default=None, description="A file that holds key_encryption_keys."
    )

    def key_file(self) -> KeyFile:
        """Return the file with the keys, which is not read yet. Raises ConfigurationError."""
        secret = self.keys_passphrase
        return KeyFile(
            self.keys_file,
            access=self.keys_file_access,
            passphrase=None if secret is None else secret.get_secret_value(),
            passphrase_file=self.keys_passphrase_file,
        )

    def key_ring(self) -> KeyRing:
        """Return the keys: those of the file, or a ring that stands for those in the store."""
        if not self.managed_keys:
            return self.key_file().load()
        return KeyRing.in_store(
            ManagedKeys(
                algorithm=self.key_algorithm,
                rotate_after=self.key_rotate_after,
                publish_before=self.key_publish_before,
            )
        )

    def secrets(self) -> dict[str, Any]:
        """Return what is set of secrets, as settings of ``Config``."""
        found: dict[str, Any] = {}
        for name in ("refresh_secrets", "key_encryption_keys"):
            value, path = getattr(self, name).get_secret_value(), getattr(self, f"{name}_file")
            found |= {name: split(value)} if value else {}
            found |= {f"{name}_file": path} if path is not None else {}
        return found
