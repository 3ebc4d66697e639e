"""The handle on an LPM trie: its entries come in the kernel's order."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from osmia.vm import layout
from osmia.vm.maps import lpm
from osmia.vm.maps.body import Arguments
from osmia.vm.maps.raw import CHUNK_BYTES, CHUNK_ENTRIES, VmMap


class Trie(VmMap):
    """BPF_MAP_TYPE_LPM_TRIE: what is below a prefix comes before it."""

    def next_key(self, key: bytes | None) -> bytes | int | None:
        body = self.body
        with self._lock:
            self.check_open()
            if not self._readable:
                return errno.EPERM
            # A prefix that is longer than any asks for the first one.
            with Arguments(body):
                before_all = b"\xff" * self.key_size
                self._memory.write(body.arguments, before_all if key is None else key)
                link = self._natives.call("lpm_after", body.header, body.arguments)
            return self._entry(link - 1)[0] if link else None

    def _chunks(self) -> Iterator[tuple[bytes, bytes]]:
        with self._lock:
            numbers = self._in_order()
        chunk = max(1, min(CHUNK_ENTRIES, CHUNK_BYTES // (self.key_size + self.body.step)))
        for first in range(0, len(numbers), chunk):
            with self._lock:
                self.check_open()
                found = [self._entry(number) for number in numbers[first : first + chunk]]
            yield (
                b"".join(key for key, _, live in found if live),
                b"".join(value for _, value, live in found if live),
            )

    def _entry(self, number: int) -> tuple[bytes, bytes, bool]:
        """A node's key, its value, and whether it has one."""
        body, memory = self.body, self._memory
        live, key, stride = body.node_layout()
        node = body.nodes_address + number * stride
        value = memory.read(body.values_address + number * body.step, self.value_size)
        return memory.read(node + key, self.key_size), value, bool(memory.load8(node + live))

    def _in_order(self) -> list[int]:
        """The numbers of all nodes that lead to each other from the root."""
        body, memory = self.body, self._memory
        _, _, stride = body.node_layout()
        count = memory.load32(body.header + layout.MAP_FRESH)
        children = memoryview(memory.read(body.nodes_address, count * stride)).cast("I")
        first, step = lpm.NODE_CHILDREN // 4, stride // 4
        waiting = [memory.load32(body.header + layout.MAP_ROOT)]
        found: list[int] = []
        # Whatever a program changes meanwhile, no node comes twice as often as there are nodes.
        while waiting and len(found) < count:
            if 0 < (link := waiting.pop()) <= count:
                found.append(link - 1)
                at = (link - 1) * step + first
                waiting += children[at : at + 2]
        return found[::-1]
