"""The bodies of HTTP requests and responses, as pydantic models.

- ``requests``, ``administration``: strict models of what clients send.
- ``responses``, ``administration``: what they receive.
- ``problem_responses``: errors as problem details (RFC 9457).
"""
