"""What the calls do, whichever side receives them: the hot paths, or the framework's routes.

- ``service``: what all of them work with. ``verify``, ``tokens``: the calls.
- ``requests``: what they read from a request besides its body.
- ``password_check``: how passwords are checked.
"""
