"""Web logic that all integrations share, free of any framework: functions over plain values.

An integration wraps its framework's request (``messages``), runs what ``gate`` and ``endpoints``
say with a sync or async session manager (``flow``), and turns the answer into a response.

- ``acting``: the actor of a request, for the audit trail and the history.
- ``bearer``: the access token in a request's Authorization header.
- ``caching``: the Cache-Control and Vary headers of a response.
- ``challenges``: the WWW-Authenticate header of an error response.
- ``client_address``: the client's address behind trusted reverse proxies.
- ``cookies``: the names and attributes of the session cookies.
- ``credentials``: the tokens of a request, and the place of each.
- ``csrf``: the same-origin check and the tokens against cross-site request forgery.
- ``derived_secrets``: secrets for one purpose, which every server derives alike.
- ``device``: the name and the type of a device, from its User-Agent header.
- ``endpoints``: the responses to a login, a refresh, a logout, a list of devices and an error.
- ``flow``: calls of a session manager, written once for sync and async managers.
- ``gate``: admission of requests, and silent refresh of a browser's tokens.
- ``identity_headers``: the X-Auth-* headers of a forward-auth response.
- ``json_bodies``: JSON that a client sends, read alike in every framework.
- ``session_json``: a session and a ban as JSON objects.
- ``known_devices``: the devices on which a user has logged in before.
- ``login_attempts``: limits on the passwords that may be tried.
- ``messages``: the request that an integration hands in, and the answer that it gets.
- ``needs``: the requirements of a route for a session.
- ``problems``: an error as problem details (RFC 9457).
- ``sent_cookies``: the cookies in a request's Cookie header.
- ``settings``: cookies, CSRF, pages and proxies of a web application.
"""
