"""Maps in the kernel by their bytes: creating, opening, descriptors, batches, memory.

Their typed face is `osmia.engine.maps`.
"""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.kernel.maps.info import read_info
    from osmia.kernel.maps.opening import MapTypes, create_map, map_from_id, map_from_pin
    from osmia.kernel.maps.raw import KernelMap

__all__ = ["KernelMap", "MapTypes", "create_map", "map_from_id", "map_from_pin", "read_info"]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".info": "read_info",
            ".opening": "MapTypes create_map map_from_id map_from_pin",
            ".raw": "KernelMap",
        },
    )
