"""Modules, and names of a package, that are imported when they are first asked for (PEP 562).

A package whose `__init__` imports all of it makes everybody pay who wants one module of it.
"""

from __future__ import annotations

import sys

# The name that type checkers know; `typing` is dear, and packages begin with this module.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def imported(name: str) -> Any:
    """The module of that name. As `importlib.import_module`, which itself has to be imported: it
    waits for a thread that is just importing the module."""
    __import__(name)
    return sys.modules[name]


def on_demand(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of `package`; `homes` has for each module its names, with blanks between.

    A module is named in full, or with a dot before it as one of the package's own. No name may be
    that of a module of the package: Python puts that module in its place.
    """
    homes_by_name = {name: home for home, names in homes.items() for name in names.split()}

    def find(name: str) -> object:
        if name not in homes_by_name:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes_by_name[name]
        value: object = getattr(imported(package + home if home.startswith(".") else home), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
