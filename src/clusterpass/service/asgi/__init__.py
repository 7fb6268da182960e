"""ASGI without a framework, and the worker's watch on its parent process.

- ``request_guard``: checks of every request before all else: its host, its path, its origin.
- ``request_log``: one log line per request, and the request id.
- ``security_headers``, ``head_as_get``, ``body_limits``: rules that hold for every route.
- ``messages``, ``problems``, ``request_body``, ``lifespan``: shared by these and the hot paths.
- ``exit_with_parent``: ends an orphaned worker.
"""
