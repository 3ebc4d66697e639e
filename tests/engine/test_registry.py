"""Engines are found by name: osmia's own without metadata, others by entry points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import osmia
from osmia.engine import registry
from osmia.engine.loaded import LoadedObject
from osmia.engine.program import Program
from osmia.engine.protocol import Engine


def test_an_engine_of_another_package_is_found_by_its_entry_point() -> None:
    engine = registry.find("mock")
    assert type(engine).__module__ == "mock_engine"
    assert registry.find("mock") is engine
    assert issubclass(engine.program_class(), osmia.Program)


def test_all_names_are_told_once() -> None:
    assert registry.names() == ["kernel", "vm", "mock"]


def test_an_engine_tells_its_options_by_call(engine: Engine) -> None:
    assert engine.options.keys() == {"load", "run"}
    assert engine.name in registry.names()


def test_own_engines_need_no_metadata() -> None:
    code = (
        "import sys; from osmia.engine import registry;"
        "registry.find('kernel'); registry.find('vm');"
        "print('importlib.metadata' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_options_are_told_as_the_functions_take_them() -> None:
    import inspect

    from osmia.kernel.load import loader as kernel_loader
    from osmia.kernel.programs.program import KernelProgram
    from osmia.kernel.skeletons.signed_load import load_signed
    from osmia.passes.options import CommonOptions
    from osmia.vm import loader as vm_loader
    from osmia.vm.engine import Vm
    from osmia.vm.options import MachineOptions
    from osmia.vm.programs import VmProgram

    def keywords(function: object) -> set[str]:
        parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        own = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
        return own - CommonOptions.__optional_keys__

    kernel, vm = registry.find("kernel"), registry.find("vm")
    own = keywords(kernel_loader.load) | keywords(load_signed)
    assert own | {"keyring"} == kernel.options["load"]
    common = CommonOptions.__optional_keys__  # `tail_calls` is one that a Vm takes itself, too
    assert keywords(Vm) == MachineOptions.__optional_keys__ - common
    assert keywords(vm_loader.load) | keywords(Vm) == vm.options["load"] - common
    assert keywords(KernelProgram.run) - {"repeat"} == kernel.options["run"]
    assert keywords(VmProgram.run) - {"repeat"} == vm.options["run"]


def test_a_base_class_alone_lacks_all_and_says_so(obj: osmia.Object) -> None:
    """What an engine does not bring and does not declare is an error without a reason of its own,
    which the suite does not let pass."""

    class Bare(LoadedObject):
        engine = "kernel"

    with Bare(obj, {}, {}) as bare:
        for use in (lambda: bare.pin("x"), lambda: bare.attach_struct_ops("x")):
            with pytest.raises(
                osmia.NotSupportedError, match="the engine 'kernel' cannot"
            ) as caught:
                use()
            assert caught.value.capability not in registry.find("kernel").lacks
        assert dict(bare.data) == {}


def test_abstract_programs_are_made_by_nobody() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Program()  # type: ignore[abstract]


def test_importing_the_suites_package_needs_nothing_of_the_tests() -> None:
    package = Path(__file__).parent / "package"
    done = subprocess.run(
        [sys.executable, "-c", "import mock_engine; print(mock_engine.ENGINE.name)"],
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "mock\n"


def test_an_engine_that_is_installed_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(__file__).parent / "package"
    registry._installed.cache_clear()
    with monkeypatch.context() as without:
        without.setattr(sys, "path", [each for each in sys.path if each != str(package)])
        with pytest.raises(ValueError, match="no engine 'mock'"):
            registry.find("mock")
    assert registry.find("mock").name == "mock"


def test_threads_find_an_engine_that_one_of_them_imports() -> None:
    code = """
import sys, threading
from osmia.engine import registry
sys.setswitchinterval(1e-6)
start, found = threading.Barrier(8), []
def find():
    start.wait()
    found.append(registry.find("kernel").name)
threads = [threading.Thread(target=find) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found == ["kernel"] * 8)
"""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("True\n", "")
