"""Helpers: text."""
