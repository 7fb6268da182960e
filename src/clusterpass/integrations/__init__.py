"""Integrations with web frameworks: thin adapters over :mod:`clusterpass.web`.

- ``setup``: the settings of an integration, from the framework's own ones and the environment.
- ``flask``, ``fastapi``, ``starlette``, ``aiohttp``, ``litestar``, ``quart``: what an application
  imports; each needs the extra of its name.
- ``async_base``: what those of asynchronous frameworks have in common.
- ``grpc``: interceptors for gRPC servers, over ``grpc_threads`` and ``grpc_aio``.
- ``attached``: connections that stay open no longer than their session; ``streams``: streams alike;
  ``server_sent_events``: their format.

An integration wraps the framework's request, runs a flow of ``clusterpass.web`` with the session
manager, and turns the answer into the framework's response. What is decided is decided there.
"""
