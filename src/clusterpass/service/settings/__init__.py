"""The settings of the service, from the environment and a TOML file.

- ``sessions``: settings that become the library's ``Config``.
- ``service``: the rest, and how all of them are loaded.
"""
