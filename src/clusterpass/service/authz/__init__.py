"""The front door: authorization endpoints that reverse proxies ask before they forward a request.

- ``endpoints``: the proxy that asks, by the path. ``original_request``: the request to authorize,
  as it describes it. ``request_path``: the path as a rule sees it, or why no rule may judge it.
- ``policy``: rules, and which one decides. ``policy_file``: rules from a TOML file. ``patterns``:
  hosts and paths in them. ``reload``: a changed file.
- ``decision``: the rule, the session, and what follows from both. ``denial``: an error of its own.
- ``identity``: the headers by which the upstream learns who calls. ``assertion``: the same, signed.
- ``credentials``: the token of the request. ``log_fields``: the log fields. ``handler``: ASGI.
  ``setup``: its settings.
- ``grpc_server``: the same decisions for Envoy, over gRPC. ``grpc_messages``: its messages.
- ``cases``: tables of requests by which a policy is tested.

What depends on no request is in ``original_request``, ``request_path``, ``policy``, ``patterns``
and ``cases``, which do no I/O.
"""
