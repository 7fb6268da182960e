"""What every web integration needs, free of any framework: functions over plain values.

- ``bearer``: the access token in a request's Authorization header.
- ``challenges``: the WWW-Authenticate header of an error response.
- ``client_address``: the client's address behind trusted reverse proxies.
- ``cookies``: the names and attributes of the session cookies.
- ``csrf``: the same-origin check and the form token against cross-site request forgery.
- ``device``: the name and the type of a device, from its User-Agent header.
- ``identity_headers``: the X-Auth-* headers of a forward-auth response.
- ``json_values``: a session and a ban as JSON objects.
- ``problems``: an error as problem details (RFC 9457).
"""
