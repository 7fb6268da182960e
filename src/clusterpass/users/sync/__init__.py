# Generated from users/aio/__init__.py by scripts/generate_sync.py; do not edit.
"""The user directory and the login throttle, as applications use them.

Written once, in ``aio``; ``sync`` is generated from it by ``scripts/generate_sync.py``.
"""
