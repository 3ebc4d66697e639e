"""Control groups that a test makes: processes are put in, and killed through them at the end."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


class Group:
    """A control group (v2) with groups of hosts in it. Where none can be made, there is none:
    `procs` is then a file that nobody reads."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @classmethod
    def made(cls) -> Group:
        """A new one, of this process's own name."""
        for root in _roots():
            path = root / f"osmia-fleet-{os.getpid()}-{time.monotonic_ns()}"
            with suppress(OSError):
                path.mkdir()
                return cls(path)
        return cls(None)

    def __bool__(self) -> bool:
        return self.path is not None

    def part(self, name: str) -> Group:
        """A group in it, which is made if it is not there."""
        if self.path is None:
            return self
        (self.path / name).mkdir(exist_ok=True)
        return Group(self.path / name)

    @property
    def procs(self) -> str:
        """The file that moves a process here."""
        return "/dev/null" if self.path is None else str(self.path / "cgroup.procs")

    def kill(self) -> None:
        """Kill all that is in it, whatever has become of it (Linux 5.14 or later)."""
        if self.path is not None:
            with suppress(OSError):
                (self.path / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Kill all that is in it, and remove it with the groups in it."""
        if self.path is None:
            return
        self.kill()
        end = time.monotonic() + 10
        while self.path.is_dir():
            for folder, _, _ in os.walk(self.path, topdown=False):
                with suppress(OSError):  # whose processes have not gone yet
                    Path(folder).rmdir()
            assert time.monotonic() < end, f"{self.path} is in use"
            time.sleep(0.01)


def _roots() -> list[Path]:
    """Where cgroup2 is mounted."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [Path(words[1]) for words in map(str.split, lines) if words[2] == "cgroup2"]
