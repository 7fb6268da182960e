"""The auth service: login, verify, refresh and logout over HTTP, built on the library's public API.

- ``settings``: what can be configured. ``app``: the ASGI application. ``server``: its processes.
- ``api``: the JSON calls. ``bodies``: their request and response bodies. ``page``: the HTML page.
- ``asgi``: middleware around both.
"""
