"""Helpers: system."""
