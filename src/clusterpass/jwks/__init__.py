"""Verifiers whose keys are fetched: a JWK Set that an issuer serves by HTTPS.

- ``cache``: which set is in force, and when the next one is asked for; no I/O.
- ``fetching``: one request, on threads and on event loops.
- ``verifiers``: the verifiers, of both kinds.
"""
