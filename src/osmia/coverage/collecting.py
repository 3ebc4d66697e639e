"""`osmia.cover`: counts what runs of loaded objects' programs, on the engines that can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from osmia.coverage.model import CoverageData, FunctionCounts
from osmia.engine.loaded import LoadedObject
from osmia.errors import ClosedError, NotSupportedError


class Counts(Protocol):
    """What counts one object's runs in its engine."""

    def functions(self) -> Iterator[FunctionCounts]:
        """What ran until now; of an object that is closed, until then."""

    def stop(self) -> None:
        """Count no longer."""


def cover(*loaded: LoadedObject) -> Coverage:
    """Count what runs of the programs of loaded objects, from now until the end of a `with`.

        with osmia.cover(bpf) as coverage:
            bpf.programs["ingress"].run(packet)
        print(coverage.text())

    Counted are all runs: in the userspace engine by every executor, in the kernel where the object
    was loaded with `cover=True`, those of attached programs, too. Raises NotSupportedError for
    objects that were not, and for those of an engine that does not count.
    """
    return Coverage(*loaded)


class Coverage:
    """What `osmia.cover` counts; `data` is what was counted until now. A context manager."""

    def __init__(self, *loaded: LoadedObject) -> None:
        self._data = CoverageData()
        self._counted: list[Counts] = []
        objects = list(dict.fromkeys(loaded))
        for each in objects:
            if each.closed:
                raise ClosedError(f"object {each.name!r} is closed")
            if each.engine not in _ENGINES:
                raise NotSupportedError(
                    f"coverage on engine {each.engine!r}: programs are counted in the userspace"
                    ' engine, load(engine="vm"), and in the kernel'
                )
        try:
            for each in objects:
                self._counted.append(_ENGINES[each.engine](each))
        except BaseException:
            self.stop()
            raise

    @property
    def data(self) -> CoverageData:
        """What was counted until now; of an object that is closed, until then."""
        made = CoverageData().merge(self._data)
        for counts in self._counted:
            for function in counts.functions():
                made.add(function)
        return made

    def stop(self) -> CoverageData:
        """Count no longer; gives what was counted. A further time changes nothing."""
        for counts in self._counted:
            counts.stop()
        self._data, self._counted = self.data, []
        return self._data

    def text(self) -> str:
        """A report of plain text; see `osmia.coverage.text.report`."""
        from osmia.coverage.text import report

        return report(self.data)

    def write(self, path: Any, format: str | None = None) -> None:  # noqa: A002
        """Write a file; see `osmia.coverage.writing.write`."""
        from osmia.coverage.writing import write

        write(self.data, path, format)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _in_vm(loaded: Any) -> Counts:
    from osmia.coverage.in_vm import VmCounts

    return VmCounts(loaded)


def _in_kernel(loaded: Any) -> Counts:
    from osmia.coverage.in_kernel import KernelCounts

    return KernelCounts(loaded)


_ENGINES: dict[str, Callable[[Any], Counts]] = {"vm": _in_vm, "kernel": _in_kernel}
