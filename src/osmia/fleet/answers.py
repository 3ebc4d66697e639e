"""What the hosts answered: a mapping by host, and the errors of those that could not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from osmia.fleet.errors import FleetError, HostError

Answer = TypeVar("Answer")


class Answers(Mapping[str, Answer], Generic[Answer]):
    """Answers by the host's name; `errors` are those of hosts that have none."""

    def __init__(self, found: Mapping[str, Answer], errors: Mapping[str, HostError]) -> None:
        self._found = dict(sorted(found.items()))
        self.errors = dict(sorted(errors.items()))

    def __getitem__(self, host: str) -> Answer:
        if host in self.errors:
            raise self.errors[host]
        return self._found[host]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"<Answers of {len(self)} hosts{failed}>"

    def checked(self, what: str) -> Answers[Answer]:
        """These answers, if all hosts have one; otherwise a FleetError."""
        if self.errors:
            everyone = len(self._found) + len(self.errors)
            raise FleetError(
                f"{what} failed on {len(self.errors)} of {everyone} hosts", self.errors
            )
        return self
