"""The bodies of HTTP requests and responses, as pydantic models.

- ``requests``, ``administration``: strict models of the requests.
- ``responses``, ``administration``: models of the responses.
- ``problem_responses``: errors as problem details (RFC 9457).
"""
