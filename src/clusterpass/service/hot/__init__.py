"""The hot paths: ASGI handlers in front of the framework, for the calls that most requests make.

- ``routes``: the paths. ``verify``, ``tokens``, ``health``: their handlers.
- ``responder``: errors, headers and the log line, as the middleware of the framework has them.
- ``rendering``, ``query``: sessions and tokens as JSON, and the conditions of a verify.

Each handler passes on what it does not take: other methods, and queries and bodies that are
invalid. The framework's route of the same path answers these, and says which field is wrong. Both
sides make the same calls (:mod:`clusterpass.service.calls`).
"""
