"""Web logic that all integrations share, free of any framework: functions over plain values.

An integration wraps its framework's request (``messages``), runs what ``gate`` and ``endpoints``
say with a session manager of either face (``flow``), and turns the answer into a response.

- ``acting``: who acts in a request, for the audit trail and the history.
- ``bearer``: the access token in a request's Authorization header.
- ``caching``: what caches may do with a response.
- ``challenges``: the WWW-Authenticate header of an error response.
- ``client_address``: the client's address behind trusted reverse proxies.
- ``cookies``: the names and attributes of the session cookies.
- ``credentials``: which tokens a request carries, and where.
- ``csrf``: the same-origin check and the tokens against cross-site request forgery.
- ``derived_secrets``: secrets for one purpose, which every server derives alike.
- ``device``: the name and the type of a device, from its User-Agent header.
- ``endpoints``: what a login, a refresh, a logout, a list of devices and an error answer.
- ``flow``: calls of a session manager, written once for both faces.
- ``gate``: who is admitted, silent refresh of a browser's tokens.
- ``identity_headers``: the X-Auth-* headers of a forward-auth response.
- ``json_bodies``: JSON that a client sends, read alike in every framework.
- ``json_values``: a session and a ban as JSON objects.
- ``known_devices``: on which devices a user has logged in before.
- ``login_attempts``: how many passwords may be tried.
- ``messages``: the request that an integration hands in, and the answer that it gets.
- ``needs``: what a route requires of a session.
- ``problems``: an error as problem details (RFC 9457).
- ``sent_cookies``: the cookies in a request's Cookie header.
- ``settings``: how a web application uses sessions.
"""
