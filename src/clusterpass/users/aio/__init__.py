"""The user directory and the login throttle, as applications use them.

Written once, in ``aio``; ``sync`` is generated from it by ``scripts/generate_sync.py``.
"""
