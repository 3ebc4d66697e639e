"""BTF as C source."""
