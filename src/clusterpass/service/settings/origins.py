"""Loads the settings together with the source of each: the environment, the file, a default."""

from pathlib import Path
from typing import Literal

from clusterpass.service.settings.loading import (
    load_settings,
    settings_in_environment,
    settings_in_file,
)
from clusterpass.service.settings.service import Settings

Origin = Literal["environment", "file", "default"]


def load_with_origins(
    config_file: str | Path | None = None,
) -> tuple[Settings, dict[str, Origin]]:
    """Return the settings, as ``load_settings`` does, and where each of them comes from.

    Raises ConfigurationError.
    """
    settings = load_settings(config_file)
    environment, file = settings_in_environment(), settings_in_file(config_file)

    def origin(name: str) -> Origin:
        if name in environment:
            return "environment"
        return "file" if name in file else "default"

    return settings, {name: origin(name) for name in Settings.model_fields}
