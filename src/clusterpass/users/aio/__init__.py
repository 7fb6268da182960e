"""The user directory and the login throttle that applications use.

The code is written once, in ``aio``; ``scripts/generate_sync.py`` generates ``sync`` from it.
"""
