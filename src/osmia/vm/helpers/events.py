"""Helpers: events."""
