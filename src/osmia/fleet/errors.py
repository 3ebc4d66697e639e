"""What goes wrong on hosts, as the one who asked them sees it."""

from __future__ import annotations

from collections.abc import Mapping

from osmia.errors import OsmiaError


class HostError(OsmiaError):
    """What a host answered instead of doing it. `kind` is the name of the error's class there
    (`VerifierError`, …), and the error itself is the cause, where it could travel."""

    def __init__(self, host: str, message: str, kind: str = "") -> None:
        self.host = host
        self.kind = kind
        super().__init__(f"{host}: {message}")


class HostLostError(HostError):
    """A host that went away or did not answer in time; what it did is not known."""


class FleetError(OsmiaError):
    """Something was asked of all hosts, and not all did it; `errors` has a HostError by host."""

    def __init__(self, message: str, errors: Mapping[str, HostError]) -> None:
        self.errors = dict(errors)
        shown = [str(each) for each in list(self.errors.values())[:3]]
        more = [f"and {len(self.errors) - 3} more"] if len(self.errors) > 3 else []
        super().__init__(message + (": " if shown else "") + "; ".join(shown + more))


class SchedulerError(OsmiaError, ConnectionError):
    """The scheduler is not there, does not let us in, or went away; what hosts did is not known."""
