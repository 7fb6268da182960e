"""What people would pick instead, each as its documentation shows it.

Each is a server of its own: ``POST /login`` makes a token, ``GET /verify`` accepts it.
Those of ``http_paths`` have ``POST /logout`` too, after which the token is to be refused.
"""
