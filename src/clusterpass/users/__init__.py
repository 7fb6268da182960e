"""The user directory and the login throttle, for applications without users of their own."""
