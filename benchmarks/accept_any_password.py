"""A password check for measurements: logins without the price of a hash."""


def accept(username: str, password: str) -> bool:
    """Accept any password at once."""
    return bool(username and password)
