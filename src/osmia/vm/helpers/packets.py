"""Helpers: packets."""
