"""Completes the location in a store URL with arguments of the application."""

from dataclasses import replace

from clusterpass.model.errors import ConfigurationError
from clusterpass.store.address import AddressRemap
from clusterpass.store.credentials import CredentialSource
from clusterpass.store.location import StoreLocation


def located(
    location: StoreLocation,
    credentials: CredentialSource | None = None,
    address_remap: AddressRemap | None = None,
) -> StoreLocation:
    """``location`` with what an application gives in addition, ready to be used.

    Raises ConfigurationError where that contradicts the URL, or a file of it cannot be used.
    """
    if credentials is not None:
        if location.username is not None or location.has_password:
            raise ConfigurationError(
                "credentials and a user or a password in the store URL exclude each other"
            )
        location = replace(location, credential_source=credentials)
    if address_remap is not None:
        if location.reached_at:
            raise ConfigurationError(
                "address_remap is given twice: in the store URL and as an argument"
            )
        location = replace(location, address_remap=address_remap)
    for name, given in (("credentials", credentials), ("address_remap", address_remap)):
        if given is not None and not callable(given):
            raise ConfigurationError(f"{name} must be a function")
    location.check_files()
    return location
