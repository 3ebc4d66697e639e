"""Maps as users see them, written once over an engine's `RawMap`."""
