"""The running kernel's BTF, and modules' split BTF."""

from pathlib import Path

import pytest

from osmia.btf import BTF, Kind, Struct, kernel, kernel_btf, module_btf
from osmia.errors import NotSupportedError

pytestmark = pytest.mark.skipif(
    not Path("/sys/kernel/btf/vmlinux").exists(), reason="this kernel shows no BTF"
)


def test_the_kernels_btf_is_opened_once() -> None:
    assert kernel_btf() is kernel_btf()
    assert kernel_btf().to_bytes() == Path("/sys/kernel/btf/vmlinux").read_bytes()


def test_the_kernels_types_are_found_by_name() -> None:
    btf = kernel_btf()
    task = btf.type(btf.find("task_struct", Kind.STRUCT))
    assert isinstance(task, Struct)
    assert btf.size_of(task.id) == task.size
    assert btf.find("no_such_type_in_any_kernel") == 0
    assert btf.find("bpf_prog_test_run_xdp", Kind.FUNC) > 0


def test_the_shortcut_for_unique_strings_finds_what_the_careful_search_finds() -> None:
    careful = BTF(kernel_btf().to_bytes())
    for name in ("int", "file", "sk_buff", "list_head", "u8", "task_struct", "nowhere"):
        assert kernel_btf().find_all(name) == careful.find_all(name)


@pytest.mark.parametrize("name", ["no_such_module", "vmlinux", "../vmlinux", "", "a/b"])
def test_what_is_no_module_has_no_btf(name: str) -> None:
    with pytest.raises(NotSupportedError):
        module_btf(name)


def test_a_modules_btf_continues_the_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = b"in_the_module\0"
    header = b"\x9f\xeb\x01\0" + b"".join(
        word.to_bytes(4, "little") for word in (24, 0, 12, 12, len(names))
    )
    target = kernel_btf().find("task_struct", Kind.STRUCT)
    record = (kernel_btf().string_size, Kind.TYPEDEF << 24, target)
    types = b"".join(word.to_bytes(4, "little") for word in record)
    (tmp_path / "some_module").write_bytes(header + types + names)
    (tmp_path / "vmlinux").write_bytes(b"")
    monkeypatch.setattr(kernel, "_DIRECTORY", tmp_path)
    btf = module_btf("some-module")
    assert btf.base is kernel_btf()
    assert btf.resolve(btf.find("in_the_module")) == target
    assert kernel.module_names() == ["some_module"]
