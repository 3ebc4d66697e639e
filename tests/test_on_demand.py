"""Packages whose names are imported when they are first asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

PACKAGES = [
    "osmia.btf",
    "osmia.engine.maps",
    "osmia.kernel.links",
    "osmia.object",
    "osmia.values",
]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_a_package_is_found(package: str) -> None:
    assert run(f"from {package} import *; print('all')") == "all"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_alone_imports_none_of_its_modules(package: str) -> None:
    code = f"import {package}, sys; print([n for n in sys.modules if n.startswith('{package}.')])"
    assert run(code) == "[]"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_is_that_of_a_module(package: str) -> None:
    module = import_module(package)
    assert {each.name for each in iter_modules(module.__path__)} & set(module.__all__) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = import_module(package).nothing


def test_a_map_type_brings_its_class_with_it() -> None:
    classes = (
        "from osmia.engine.maps.base import Map; from osmia.object.uapi import MapType; "
        "print({each: Map.class_for(each).__name__ for each in MapType})"
    )
    assert run(classes) == run(f"from osmia.engine.maps import *; {classes}")
