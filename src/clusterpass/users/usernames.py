"""The form in which the directory keeps the names of users."""

from clusterpass.model.errors import ConfigurationError


def prepare_name(username: str) -> str:
    """Return ``username`` in the form that is kept: UsernameCasePreserved (RFC 8265 section 3.4).

    Letters are composed (NFC), and forms of another width are the usual ones, part by
    part where there are spaces. A name that the profile forbids stays as it is. Raises
    ConfigurationError when precis-i18n is not installed.
    """
    if username.isascii():
        return username
    try:
        from precis_i18n import get_profile  # noqa: PLC0415 (only the extra installs it)
    except ModuleNotFoundError:
        raise ConfigurationError(
            'names of users need precis-i18n; install it with: pip install "clusterpass[server]"'
        ) from None
    profile = get_profile("UsernameCasePreserved")
    try:
        return " ".join(profile.enforce(part) for part in username.split(" "))
    except UnicodeEncodeError:
        return username
