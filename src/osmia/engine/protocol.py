"""What an engine is to the rest of osmia: the smallest set of things it must bring.

An engine loads Objects. What it gives back are the same types whichever engine is behind
them: programs, maps and links differ in the bytes that they are made of, not in their faces.
An engine brings three things: raw maps (`RawMap`: bytes in, bytes or an errno out),
programs that run, and attachments where it has places to attach to.
"""

from __future__ import annotations

from osmia.engine.raw_map import RawMap

__all__ = ["RawMap"]
