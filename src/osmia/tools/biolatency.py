"""biolatency: how long disks take, as histograms."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

from osmia.summaries.histogram import Histogram
from osmia.summaries.names import device_name
from osmia.tools.latencies import measuring
from osmia.tools.running import Summary


def biolatency(
    *,
    disk: Annotated[str, "Of this disk: vda."] = "",
    disks: Annotated[bool, "A histogram for each disk."] = False,
    milliseconds: Annotated[bool, "In milliseconds, not microseconds."] = False,
) -> AbstractContextManager[Summary[Histogram]]:
    """Show how long disks take for requests, from their driver's hands until they are done."""
    number = _number(disk) if disk else 0

    def label(key: int) -> str:
        return (device_name(key) or f"{key:#x}") if disks else disk

    settings = {"only_disk": number, "by_disk": disks}
    return measuring("biolatency", "disk", label, settings, milliseconds=milliseconds)


def _number(disk: str) -> int:
    """A disk's number within the kernel. ValueError where there is no disk of the name."""
    try:
        major, minor = Path("/sys/block", disk, "dev").read_text().split(":")
    except OSError:
        raise ValueError(f"there is no disk {disk!r}: /sys/block has their names") from None
    return int(major) << 20 | int(minor)
