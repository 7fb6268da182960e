"""ASGI middleware, and the worker's watch on its parent process.

- ``request_log``: one log line per request, and the request id.
- ``warm_verify``: GET /verify from memory.
- ``security_headers``, ``head_as_get``, ``body_limits``: rules that hold for every route.
- ``exit_with_parent``: ends an orphaned worker.
"""
