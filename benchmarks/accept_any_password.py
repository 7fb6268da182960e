"""A password check that accepts anything, so that measured logins include no password hash."""


def accept(username: str, password: str) -> bool:
    """Accept any password at once."""
    return bool(username and password)
