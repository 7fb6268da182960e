"""The auth service: login, verify, refresh and logout over HTTP, built on the library's public API.

- ``settings``: all settings. ``app``: the ASGI application. ``server``: its processes.
- ``hot``: the calls that most requests make, in front of FastAPI.
- ``calls``: the calls without HTTP framework. ``bodies``: their request and response bodies.
- ``fastapi_app``: all other calls; ``api``: those in JSON. ``page``: the HTML page.
- ``authz``: the front door, which tells proxies whether to forward a request.
- ``asgi``: middleware around both, and what the hot paths share with it.
"""
