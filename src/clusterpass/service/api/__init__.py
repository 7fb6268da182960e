"""The JSON calls of the HTTP API, as routes of FastAPI.

- ``tokens``: login, step-up, refresh, logout. ``verify``: is a session live, for a token.
- ``sessions``: the caller's own sessions and history. ``administration``: everyone's.
- ``health_and_keys``: health checks, and the public keys.
- ``dependencies``: the FastAPI dependencies of the routes; ``openapi``: the description of the API.
"""
