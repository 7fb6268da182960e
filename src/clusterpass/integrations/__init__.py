"""Integrations with web frameworks: thin adapters over :mod:`clusterpass.web`.

- ``settings``: the settings of an integration, from the framework's own and the environment.
- ``flask``, ``fastapi``, ``starlette``, ``aiohttp``, ``litestar``, ``quart``: the modules that an
  application imports; each needs the extra of its name.
- ``async_base``: the base class of those for asynchronous frameworks.
- ``grpc``: interceptors for gRPC servers, over ``grpc_threads`` and ``grpc_aio``.
- ``attached``: connections that stay open no longer than their session; ``streams``: streams alike;
  ``server_sent_events``: their format.

An integration wraps the framework's request, runs a flow of ``clusterpass.web`` with the session
manager, and turns the answer into the framework's response. All decisions are made there.
"""
