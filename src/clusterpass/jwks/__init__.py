"""Verifiers whose keys are fetched: a JWK Set that an issuer serves by HTTPS.

- ``cache``: the key set in force, and the time to ask for the next one; no I/O.
- ``fetching``: one request, on threads and on event loops.
- ``verifiers``: the verifiers, of both kinds.
"""
