"""Which class is the handle on a map of each type; imported when a map of it is met."""

from __future__ import annotations

from osmia.object.uapi import MapFlag, MapType
from osmia.on_demand import imported
from osmia.vm.maps.body import MapBody
from osmia.vm.maps.raw import VmMap

ANY_ACCESS = MapFlag(0)
#: By type, the module of this package and the class in it. Other types are plain data.
_HOMES: dict[MapType, tuple[str, str]] = {
    MapType.ARRAY_OF_MAPS: ("special", "OuterArray"),
    MapType.HASH_OF_MAPS: ("special", "OuterHash"),
    MapType.PROG_ARRAY: ("special", "ProgramSlots"),
    MapType.RINGBUF: ("special", "Ring"),
    MapType.USER_RINGBUF: ("special", "Ring"),
    MapType.PERF_EVENT_ARRAY: ("special", "PerfEventQueue"),
    MapType.CGROUP_ARRAY: ("numbers", "Groups"),
    MapType.CPUMAP: ("numbers", "SparseMap"),
    MapType.DEVMAP: ("numbers", "SparseMap"),
    MapType.DEVMAP_HASH: ("numbers", "DeviceHash"),
    MapType.REUSEPORT_SOCKARRAY: ("numbers", "SocketArray"),
    MapType.SOCKHASH: ("numbers", "SocketHash"),
    MapType.SOCKMAP: ("numbers", "SocketArray"),
    MapType.XSKMAP: ("numbers", "PacketSockets"),
    MapType.STACK_TRACE: ("stacks", "StackTraces"),
    MapType.LPM_TRIE: ("trie", "Trie"),
}


def handle_of(body: MapBody, access: MapFlag = ANY_ACCESS) -> VmMap:
    """A new handle on a map."""
    home = _HOMES.get(body.type)
    if home is None and body.definition.special:
        home = "fields", "FieldMap"
    if home is None:
        return VmMap(body, access)
    made: VmMap = getattr(imported(f"osmia.vm.maps.{home[0]}"), home[1])(body, access)
    return made
