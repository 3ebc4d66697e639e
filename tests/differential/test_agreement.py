"""What agrees in two objects for osmia links with bpftool, and what does not is refused there."""

import shutil
import subprocess
from pathlib import Path

import pytest

import osmia
from osmia.btf.agreement import disagreement
from osmia.toolchain import compile as compile_source

from .peers import NEWER_BPFTOOL

pytestmark = pytest.mark.slow

#: A declaration of `x` and a definition, each in an object of its own.
CASES = [
    ("extern int x;", "int x = 1;"),
    ("extern unsigned int x;", "int x = 1;"),
    ("extern const volatile int x;", "int x = 1;"),
    ("extern long x;", "int x = 1;"),
    ("extern float x;", "int x = 1;"),
    ("typedef int number; extern number x;", "int x = 1;"),
    ("extern char *x;", "void *x;"),
    ("extern unsigned char *x;", "char *x;"),
    ("extern short *x;", "char *x;"),
    ("extern int x[4];", "int x[8] = {1};"),
    ("extern int x[];", "int x[8] = {1};"),
    ("extern long x[8];", "int x[8] = {1};"),
    ("extern int x;", "int x[8] = {1};"),
    ("struct s { int a; }; extern struct s x;", "struct s { int a; }; struct s x;"),
    ("struct s { int a; }; extern struct s x;", "struct s { unsigned a; }; struct s x;"),
    ("struct s { int a; }; extern struct s x;", "struct s { int b; }; struct s x;"),
    ("struct s { int a; }; extern struct s x;", "struct s { long a; }; struct s x;"),
    ("struct s { int a; }; extern struct s x;", "struct s { int a, b; }; struct s x;"),
    ("struct s { int a; }; extern struct s x;", "struct t { int a; }; struct t x;"),
    ("struct s { int a; }; extern struct s x;", "union s { int a; }; union s x;"),
    (
        "struct s { char b; int a; }; extern struct s x;",
        "struct s { char b; int a __attribute__((packed)); }; struct s x;",
    ),
    ("struct s { int a: 3; }; extern struct s x;", "struct s { int a: 4; }; struct s x;"),
    ("struct s { int a; }; extern struct s *x;", "struct s { int b; }; struct s *x;"),
    ("struct s; extern struct s *x;", "struct s { int b; }; struct s *x;"),
    ("union s; extern union s *x;", "struct s { int b; }; struct s *x;"),
    ("struct t; extern struct t *x;", "struct s { int b; }; struct s *x;"),
    (
        "struct t { int a; }; struct s { struct t *t; }; extern struct s x;",
        "struct t { int b; }; struct s { struct t *t; }; struct s x;",
    ),
    (
        "struct t { int a; }; struct s { struct t t; }; extern struct s x;",
        "struct t { int b; }; struct s { struct t t; }; struct s x;",
    ),
    ("enum e { A }; extern enum e x;", "enum e { B, C }; enum e x;"),
    ("enum e { A }; extern enum e x;", "enum f { A }; enum f x;"),
    ("enum e { A }; extern enum e x;", "enum e { A = 1UL << 40 }; enum e x;"),
    ("enum e { A }; extern enum e x;", "int x;"),
    ("extern int (*x)(int a);", "int (*x)(int b);"),
    ("extern int (*x)(int a);", "int (*x)(long b);"),
    ("extern int (*x)(int a);", "int (*x)(int b, int c);"),
    ("extern int (*x)(int a);", "void (*x)(int b);"),
    ("extern int x(int a, char *p);", "int x(int b, char *q) { return b; }"),
    ("extern int x(int a, void *p);", "int x(int b, char *q) { return b; }"),
    ("extern long x(int a);", "int x(int b) { return b; }"),
    ("extern int x(long a);", "int x(int b) { return b; }"),
    ("extern int x(int a, int b);", "int x(int b) { return b; }"),
]

_HEAD = '#define SEC(x) __attribute__((section(x), used))\nchar l[] SEC("license") = "GPL";\n'


@pytest.fixture(scope="session")
def bpftool() -> str:
    newer = NEWER_BPFTOOL / "bpftool"
    found = str(newer) if newer.exists() else shutil.which("bpftool")
    assert found, "bpftool is not installed; see tools/debian-packages.txt"
    return found


@pytest.mark.parametrize(("declared", "defined"), CASES)
def test_libbpfs_linker_says_the_same(
    declared: str, defined: str, bpftool: str, tmp_path: Path
) -> None:
    user = f'{declared}\nSEC("socket") long f(void *c) {{ return (long)({_use(declared)}); }}'
    paths = []
    for name, text in (("declares", user), ("defines", defined)):
        paths.append(tmp_path / f"{name}.o")
        paths[-1].write_bytes(compile_source(_HEAD + text).data)
    command = [bpftool, "gen", "object", str(tmp_path / "out.o"), *map(str, paths)]
    linked = subprocess.run(command, capture_output=True, text=True)
    a, b = (osmia.open(path).btf for path in paths)
    assert a is not None
    assert b is not None
    found = disagreement(a, a.find("x"), b, b.find("x"))
    assert (found is None) == (linked.returncode == 0), (found, linked.stderr)
    assert "incompatible" in linked.stderr or not found


def _use(declaration: str) -> str:
    """What makes the compiler keep the symbol and its type."""
    _, call, parameters = declaration.partition(" x(")
    if not call:
        return "&x"
    return "x(1, 0)" if "," in parameters else "x(1)"
