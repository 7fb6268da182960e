"""Other libraries for comparison, each used as its documentation shows.

Each is a server of its own: ``POST /login`` makes a token, ``GET /verify`` accepts it.
Those of ``http_paths`` have ``POST /logout`` too, after which the token is to be refused.
"""
