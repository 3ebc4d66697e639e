"""The vm's maps: native operations a map type, and the mapping that Python sees."""
