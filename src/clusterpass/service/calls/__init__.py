"""The calls of the service without HTTP framework: the hot paths and the routes share them.

- ``worker_state``: the state that all of them share. ``verify``, ``tokens``: the calls.
- ``requests``: data that they read from a request besides its body.
- ``password_check``: password checks by the directory, or by a function of the operator.
"""
