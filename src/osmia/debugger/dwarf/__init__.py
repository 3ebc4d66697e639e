"""What DWARF says of a compiled object: scopes and variables, C types, where values are."""
