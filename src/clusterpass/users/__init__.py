"""The user directory and the login throttle, for applications that have no users of their own."""
