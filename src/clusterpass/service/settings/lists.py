"""The type of settings that hold several names, separated by commas."""

Names = tuple[str, ...]


def split(value: object) -> object:
    """Split a string at commas, dropping empty items; return any other value unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
