"""The Arrow C data interface: `structures` of it, and `exports`, their copies for others."""
