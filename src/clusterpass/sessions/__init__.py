"""Decisions about sessions, as flows: generators that yield calls and receive answers.

A flow does no I/O. Clocks and sources of randomness are passed to it.
"""
