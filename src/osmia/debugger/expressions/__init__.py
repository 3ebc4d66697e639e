"""Expressions in C over a run that stands still: parsed and evaluated here, bounded in all."""
