"""Which host a process is on, and which of the processes on it is the agent.

A host is what has interfaces of its own: a network namespace, of one boot of a machine. Several
workers can be on one; the first to bind an abstract socket, whose names a network namespace has
for itself, is the agent, until it ends.
"""

from __future__ import annotations

import os
import socket

#: The name of this host, if not the machine's; for who has several on one machine.
NAME_VARIABLE = "OSMIA_FLEET_HOST"


def host_name() -> str:
    """What this host is called: `OSMIA_FLEET_HOST`, or the machine's name."""
    return os.environ.get(NAME_VARIABLE) or socket.gethostname()


class Claim:
    """The right to be the host's agent of a fleet. Nobody else gets it while this process lives."""

    def __init__(self, fleet: str) -> None:
        self._address = f"\0osmia-fleet/{fleet}"
        self._socket: socket.socket | None = None

    @property
    def held(self) -> bool:
        return self._socket is not None

    def take(self) -> bool:
        """Whether this process is the agent now."""
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                made.bind(self._address)
            except OSError:
                made.close()
                return False
            self._socket = made
        return True

    def give_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
