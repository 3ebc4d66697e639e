"""From an Object to a LoadedObject of the kernel."""
