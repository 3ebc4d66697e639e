"""Testing BPF programs with pytest: docs/testing.md.

The plugin is found by pytest itself (`osmia.testing.plugin`); what tests may name beside the
marker and the fixtures is here, and imported when it is first used.
"""

from __future__ import annotations

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.testing.fixtures import bpf_fixture as bpf_fixture
    from osmia.testing.machine import Machine as Machine
    from osmia.vm.sockets import Socket as Socket

__all__ = ["Machine", "Socket", "bpf_fixture"]

if not TYPE_CHECKING:  # or every name would be one, to type checkers

    def __getattr__(name: str) -> object:
        if name == "bpf_fixture":
            from osmia.testing.fixtures import bpf_fixture

            return bpf_fixture
        if name == "Machine":
            from osmia.testing.machine import Machine

            return Machine
        if name == "Socket":
            from osmia.vm.sockets import Socket

            return Socket
        raise AttributeError(f"module 'osmia.testing' has no attribute {name!r}")
