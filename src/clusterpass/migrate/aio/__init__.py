"""The session manager that accepts old tokens, for the tasks of an event loop."""
