"""The calls of the service without HTTP framework: the hot paths and the routes share them.

- ``service``: what all of them work with. ``verify``, ``tokens``: the calls.
- ``requests``: what they read from a request besides its body.
- ``password_check``: how passwords are checked.
"""
