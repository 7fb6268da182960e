"""Revocations that must not be lost: what each asks of the store, and until when it is pending."""
