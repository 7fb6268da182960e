"""Servers whose clocks differ, and jump."""
