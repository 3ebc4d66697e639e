"""What loading checks of a program's tail calls: the map, where the code tells it."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from osmia.errors import VerifierError
from osmia.object.uapi import MapType
from osmia.vm import layout
from osmia.vm.code import TAIL_CALL, Code

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.engine import Vm
    from osmia.vm.maps.body import MapBody


def check_tail_calls(vm: Vm, code: Code) -> None:
    """Raise VerifierError for a tail call through a map that is no prog array. Where only a run
    tells which map it is, the run is checked."""
    if not code.has_tail_calls:
        return
    # Programs without tail calls do not wait for the analysis.
    from osmia.vm.jit.blocks import frame_is_private, function_flow, known_numbers

    for function in code.functions.values():
        private = frame_is_private(code, function)
        flow = function_flow(code, function)
        known = known_numbers(flow, vm.immediate, private=private)
        for slot, state in known.calls(TAIL_CALL):
            _check_array(vm.lifetimes.maps, code, slot, state.number(2))


def _check_array(maps: Mapping[int, MapBody], code: Code, slot: int, handle: int | None) -> None:
    if handle is None:
        return
    target = maps.get((handle - layout.MAP_HANDLE) >> layout.MAP_HANDLE_SHIFT)
    if target is not None and target.type is not MapType.PROG_ARRAY:
        why = f"bpf_tail_call through map {target.name!r}, a {target.type.name}, no PROG_ARRAY"
        summary = f"{why} (instruction {slot})"
        raise VerifierError(errno.EINVAL, code.name, summary, summary)
