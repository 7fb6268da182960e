"""A service as a process, as in the tests of the service."""

from ..service.conftest import keys_file, serve

__all__ = ["keys_file", "serve"]
