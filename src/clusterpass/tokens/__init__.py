"""JOSE without I/O: keys, access tokens, refresh tokens. Clock and randomness are arguments."""
