"""Keys, access tokens and refresh tokens (JOSE), without I/O except for loading a key file.

Clocks and sources of randomness are arguments.
"""
