"""Helpers: dynptr."""
