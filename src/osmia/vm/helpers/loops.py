"""Helpers: loops."""
