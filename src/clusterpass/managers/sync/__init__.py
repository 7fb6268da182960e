# Generated from managers/aio/__init__.py by scripts/generate_sync.py; do not edit.
"""The session manager, its groups of verbs, and what it does in the background.

Written once, in ``aio``; ``sync`` is generated from it by ``scripts/generate_sync.py``.
"""
