"""Revocations, which are retried until they are confirmed."""
