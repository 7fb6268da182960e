"""Loads a function of the operator that a setting names as ``module:function``."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from clusterpass import ConfigurationError


def load_function(setting: str, path: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names; raise ConfigurationError if none.

    ``setting``: where it is named.
    """
    module_name, _, names = path.partition(":")
    try:
        found: object = import_module(module_name)
        for name in names.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"{setting}: {path} cannot be imported ({type(error).__name__}: {error}); write"
            " it as module:function, and add the directory of the module to PYTHONPATH"
        ) from None
    if not callable(found):
        raise ConfigurationError(f"{setting}: {path} is not callable; name a function")
    return cast("Callable[..., Any]", found)
