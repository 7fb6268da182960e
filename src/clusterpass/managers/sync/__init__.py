# Generated from managers/aio/__init__.py by scripts/generate_sync.py; do not edit.
"""The session manager, its groups of verbs, and its background work.

The code is written once, in ``aio``; ``scripts/generate_sync.py`` generates ``sync`` from it.
"""
