"""Helpers: checksums."""
