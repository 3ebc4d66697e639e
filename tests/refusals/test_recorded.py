"""What kernels said of the programs: each log is of its program's kind, here without a kernel."""

from __future__ import annotations

import pytest

from osmia.kernel.programs.verifier_log import explain

from .cases import Case, recorded


def _logs() -> list[object]:
    return [
        pytest.param(version, name, log, id=f"{version}-{name}")
        for version in ("6.18", "6.1")
        for name, log in recorded(version).items()
    ]


@pytest.mark.parametrize(("version", "name", "log"), _logs())
def test_a_log_is_of_its_programs_kind(version: str, name: str, log: str) -> None:
    case = Case(name)
    expected = (case.said("on 6.1") if version == "6.1" else "") or case.kind
    assert explain(log).kind == expected
