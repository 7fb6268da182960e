"""The settings of the service, from the environment and a TOML file.

- ``sessions``: settings that become the library's ``Config``, with ``keys`` and ``records``.
- ``service``: all of them, and the rules between them.
- ``loading``: reads them.
"""
