"""The HTTP API.

- ``tokens``: login, step-up, refresh, logout. ``verify``: is a session live, for a token.
- ``sessions``: the caller's own sessions and history. ``administration``: everyone's.
- ``health_and_keys``: health checks, and the public keys.
- ``dependencies``: what the routes are given; ``openapi``: the description of the API.
"""
