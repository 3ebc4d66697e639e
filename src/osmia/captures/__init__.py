"""Captured packets, and programs run over them."""
