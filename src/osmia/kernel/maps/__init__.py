"""Maps in the kernel by their bytes: creating, opening, descriptors, batches, memory.

Their typed face is `osmia.engine.maps`.
"""

from osmia.kernel.maps.info import read_info
from osmia.kernel.maps.opening import MapTypes, create_map, map_from_id, map_from_pin
from osmia.kernel.maps.raw import KernelMap

__all__ = ["KernelMap", "MapTypes", "create_map", "map_from_id", "map_from_pin", "read_info"]
