"""What every engine is: the interface, results, and the typed face of maps."""
