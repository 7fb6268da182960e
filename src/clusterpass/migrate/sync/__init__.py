# Generated from migrate/aio/__init__.py by scripts/generate_sync.py; do not edit.
"""The session manager that accepts old tokens, for the tasks of an event loop."""
