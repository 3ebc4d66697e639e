"""Wrong arguments of public functions: which error comes, and that no other one does."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import osmia
from osmia import isa
from osmia.argument_faults import raised_on_purpose
from osmia.arguments import names_wrong_arguments
from osmia.cli import running

ADD = """
r0 = 1
exit
"""
SEED = 500_000
SEEDS = {"vm": 300, "kernel": 150}
COMMANDS = 120


@names_wrong_arguments
def packed(
    number: int, names: list[str] | None = None, *, path: str | os.PathLike[str] = ""
) -> int:
    if names is not None:
        "".join(names)
    open(path).close() if path else None  # noqa: PTH123
    return len(number.to_bytes(4, "little"))


def test_what_fits_is_done_as_without_the_decorator() -> None:
    assert packed(3, ["a"]) == 4
    assert packed.__doc__ is None
    assert packed.__name__ == "packed"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("3",), {}, "number='3': int is needed"),
        ((None,), {}, "number=None: int is needed"),
        ((int,), {}, "number=<class 'int'>: int is needed"),
        ((1, ["a", 2]), {}, r"names=\['a', 2\]: list\[str\] \| None is needed"),
        ((1,), {"path": 2.5}, r"path=2.5: str \| os.PathLike\[str\] is needed"),
    ],
)
def test_an_argument_of_another_type_is_named(
    arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        packed(*arguments, **options)


def test_a_number_that_no_field_holds_is_named() -> None:
    with pytest.raises(ValueError, match="number=4294967296: int too big to convert"):
        packed(1 << 32)
    with pytest.raises(ValueError, match=r"path='a.*b': embedded null"):
        packed(1, path="a\0b")


def test_a_misspelt_keyword_gets_the_nearest() -> None:
    wrong: Any = packed
    with pytest.raises(TypeError, match="packed has no option 'nmes'; did you mean 'names'"):
        wrong(1, nmes=[])


def test_errors_that_no_argument_explains_stay_what_they_are() -> None:
    @names_wrong_arguments
    def faulty(number: int) -> int:
        return [number][number]

    with pytest.raises(IndexError, match="list index out of range"):
        faulty(1)


def test_errors_of_code_that_osmia_only_calls_stay_what_they_are() -> None:
    def hook(*_: object) -> None:
        raise ValueError("mine")

    with (
        osmia.Vm(cpus=1) as vm,
        vm.load_program(isa.assemble(ADD)) as program,
        pytest.raises(ValueError, match=r"^mine$"),
    ):
        program.run(hook=hook)


def test_what_is_raised_on_purpose_is_told_from_what_fails() -> None:
    with pytest.raises(osmia.AssemblerError) as ours:
        isa.assemble("nonsense")
    with pytest.raises(AttributeError) as foreign:
        isa.registers_read.__wrapped__  # type: ignore[attr-defined]  # noqa: B018
    assert raised_on_purpose(ours.value)
    assert not raised_on_purpose(foreign.value)


@pytest.mark.parametrize("call", ["Vm", "create_map", "Program.load", "Object.load"])
def test_misspelt_options_of_what_makes_things(call: str) -> None:
    obj = osmia.Object("empty")
    calls: dict[str, tuple[Any, str, str]] = {
        "Vm": (lambda: osmia.Vm(memry=1), "memry", "memory"),  # type: ignore[call-arg]
        "create_map": (
            lambda: osmia.Map.create(osmia.MapType.HASH, max_entires=1),  # type: ignore[call-overload]
            "max_entires",
            "max_entries",
        ),
        "Program.load": (
            lambda: osmia.Program.load(osmia.ProgramType.XDP, b"", licence="GPL"),  # type: ignore[call-arg]
            "licence",
            "license",
        ),
        "Object.load": (lambda: obj.load("vm", helper={}), "helper", "helpers"),  # type: ignore[call-overload]
    }
    work, wrong, right = calls[call]
    with pytest.raises(TypeError, match=f"has no option '{wrong}'; did you mean '{right}'"):
        work()


@pytest.fixture(scope="module")
def fuzz() -> Iterator[ModuleType]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "fuzz"))
    yield importlib.import_module("arguments")
    monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["vm", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_no_call_with_wrong_arguments_ends_in_a_foreign_error(
    engine: str, fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fuzzer = fuzz.Fuzzer(engine, tmp_path)
    tried: set[str] = set()
    try:
        for seed in range(SEED, SEED + SEEDS[engine]):
            tried.update(fuzzer.attempt(seed))
    finally:
        fuzzer.close()
    assert {"TypeError", "CodecError", "a result"} <= tried


@pytest.mark.slow
@pytest.mark.kernel
def test_no_command_line_with_wrong_words_ends_in_a_traceback(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(SEED, SEED + COMMANDS):
        words = fuzz.command_line(seed)
        said = io.StringIO()
        with redirect_stdout(io.TextIOWrapper(io.BytesIO())), redirect_stderr(said):
            status = running.run(words)
        assert "this should not happen" not in said.getvalue(), (words, said.getvalue())
        assert status in (0, 1, 2), (words, sys.exc_info())
