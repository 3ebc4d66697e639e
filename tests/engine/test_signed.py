"""`load(require_signature=…)`: nothing comes into a signed object that is not signed, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.engine.importing import FileProvider
from osmia.object.signatures import new_key, sign_file
from osmia.toolchain import compile as compile_source

HEADERS = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
LICENSE = 'char L[] SEC("license") = "GPL";\n'
LIBRARY = f"{HEADERS}__attribute__((noinline)) int twice(int x) {{ return 2 * x; }}\n{LICENSE}"
USER = (
    f"{HEADERS}extern int twice(int x);\n"
    f'SEC("xdp") int ingress(struct xdp_md *ctx) {{ return twice(1); }}\n{LICENSE}'
)
PRIVATE, PUBLIC = new_key()
OTHER_PRIVATE, OTHER_PUBLIC = new_key()
ENGINES = ["vm", pytest.param("kernel", marks=pytest.mark.kernel)]


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return {name: compile_source(text).data for name, text in (("lib", LIBRARY), ("user", USER))}


@pytest.fixture
def files(tmp_path: Path, contents: dict[str, bytes]) -> tuple[Path, Path]:
    """The library and its user, which is signed."""
    library, user = tmp_path / "lib.bpf.o", tmp_path / "user.bpf.o"
    library.write_bytes(contents["lib"])
    user.write_bytes(contents["user"])
    sign_file(user, osmia.open(user), PRIVATE)
    return library, user


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "as_import",
    [lambda path: [path], lambda path: [{"twice": path}], lambda path: {"twice": str(path)}],
    ids=["list", "mapping in a list", "mapping"],
)
def test_what_is_imported_must_be_signed_too(
    files: tuple[Path, Path], engine: str, as_import: Callable[[Path], Any]
) -> None:
    library, user = files
    obj = osmia.open(user)
    with pytest.raises(osmia.NotSignedError, match=r"lib\.bpf\.o is not signed"):
        obj.load(engine, require_signature=PUBLIC, imports=as_import(library))
    sign_file(library, osmia.open(library), OTHER_PRIVATE)
    with pytest.raises(osmia.NotSignedError, match=r"lib\.bpf\.o is signed, but not by the key"):
        obj.load(engine, require_signature=PUBLIC, imports=as_import(library))
    sign_file(library, osmia.open(library), PRIVATE)
    with obj.load(engine, require_signature=PUBLIC, imports=as_import(library)) as bpf:
        assert bpf.programs["ingress"].run(bytes(64)).retval == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loaded_object_that_is_imported_is_looked_at(
    files: tuple[Path, Path], engine: str
) -> None:
    library, user = files
    with osmia.open(library).load(engine) as lib:
        with pytest.raises(osmia.NotSignedError, match=r"lib\.bpf\.o is not signed"):
            osmia.open(user).load(engine, require_signature=PUBLIC, imports=[lib])
        sign_file(library, osmia.open(library), PRIVATE)
        with osmia.open(user).load(engine, require_signature=PUBLIC, imports=[lib]) as bpf:
            assert bpf.programs["ingress"].run(bytes(64)).retval == 2


def test_a_file_that_changes_meanwhile_is_read_once(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, user = files
    sign_file(library, osmia.open(library), PRIVATE)
    read: list[str] = []
    was = FileProvider.__init__

    def counted(self: FileProvider, path: Any) -> None:
        read.append(str(path))
        was(self, path)

    monkeypatch.setattr(FileProvider, "__init__", counted)
    imports: list[Any] = [library, {"twice": library}]
    osmia.open(user).load("vm", require_signature=PUBLIC, imports=imports).close()
    assert read == [str(library)]


def test_what_the_kernel_holds_has_no_signature(files: tuple[Path, Path]) -> None:
    with pytest.raises(osmia.NotSignedError, match=r"imports= takes from 'kernel' has no sig"):
        osmia.open(files[1]).load("kernel", require_signature=PUBLIC, imports=["kernel"])


def test_passes_that_would_change_what_was_signed_are_refused(files: tuple[Path, Path]) -> None:
    library, user = files
    sign_file(library, osmia.open(library), PRIVATE)
    ran: list[object] = []

    def changing(obj: osmia.Object) -> osmia.Object:
        ran.append(obj)
        return obj

    with pytest.raises(osmia.NotSignedError, match=r"passes= would change it"):
        osmia.open(user).load("vm", require_signature=PUBLIC, passes=[changing], imports=[library])
    assert ran == []
    signed: dict[str, Any] = {"require_signature": PUBLIC, "imports": [library], "prune": True}
    osmia.open(user).load("vm", **signed, passes=()).close()


@pytest.mark.parametrize("given", [7, "lib.bpf.o", [7]])
def test_what_can_be_no_import_is_one_error(files: tuple[Path, Path], given: Any) -> None:
    with pytest.raises((TypeError, osmia.NotSignedError), match="imports"):
        osmia.open(files[1]).load("vm", require_signature=PUBLIC, imports=given)


def test_a_signed_loader_is_not_loaded_in_the_place_of_a_signed_object(
    files: tuple[Path, Path],
) -> None:
    obj = osmia.open(files[1])
    with pytest.raises(osmia.NotSignedError, match="keyring= would load what its signed loader"):
        obj.load(require_signature=PUBLIC, keyring="session")
