"""Arrow data handed to others: PyCapsules of copies that keep alive what they refer to.

Whoever takes Arrow data calls its `release`, in whatever moment: from a thread without Python's
lock, while a stack is unwound for an exception, after Python's end. A callback of ctypes is a
Python function; called while an exception is on its way it ends the process (`f(pyarrow.table(x),
1 / 0)` would), and a signal that arrives just before it leaves the memory behind. So what
copies and releases is machine code: tools/arrow_exports.c, for x86-64 and arm64. It does nothing
but count references of the Python objects that own the memory, with the exception put aside.
"""

from __future__ import annotations

import base64
import ctypes
import mmap
import os
import platform
from collections.abc import Callable
from functools import cache
from typing import Any

from osmia.errors import NotSupportedError

#: The functions that the code calls, in the order of its `struct api`.
_SYSTEM = ("malloc", "free")
_PYTHON = (
    "Py_IsInitialized",
    "PyGILState_Ensure",
    "PyGILState_Release",
    "PyErr_Fetch",
    "PyErr_Restore",
    "Py_IncRef",
    "Py_DecRef",
    "PyCapsule_New",
    "PyCapsule_GetPointer",
)


def schema_capsule(schema: int) -> object:
    """A capsule "arrow_schema" with a copy of the prepared ArrowSchema at an address."""
    return _made("schema", schema)


def array_capsule(array: int) -> object:
    """A capsule "arrow_array" with a copy of the prepared ArrowArray at an address."""
    return _made("array", array)


def stream_capsule(schema: int, array: int, owner: object) -> object:
    """A capsule "arrow_array_stream" that gives copies of both; `owner` keeps them alive."""
    return _made("stream", schema, array, id(owner))


def _made(kind: str, *arguments: int) -> object:
    try:
        capsule: object = _functions()[kind](*arguments)
    except ValueError:  # what ctypes makes of a null pointer
        raise MemoryError from None
    return capsule


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    """The code's functions; NotSupportedError where it cannot run."""
    from osmia.values.arrow import exports_code

    machine = platform.machine()
    if machine not in exports_code.CODE:
        raise NotSupportedError(f"Arrow data is for {', '.join(exports_code.CODE)}, not {machine}")
    code = bytearray(base64.b64decode(exports_code.CODE[machine]))
    addresses = [_address(ctypes.CDLL(None), name) for name in _SYSTEM]
    addresses += [_address(ctypes.pythonapi, name) for name in _PYTHON]
    for index, address in enumerate(addresses):
        code[8 * index : 8 * index + 8] = address.to_bytes(8, "little")
    base = _mapped(bytes(code))
    pointer = ctypes.c_void_p
    return {
        name: ctypes.PYFUNCTYPE(ctypes.py_object, *[pointer] * (3 if name == "stream" else 1))(
            base + place
        )
        for name, place in exports_code.ENTRIES[machine].items()
    }


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


def _mapped(code: bytes) -> int:
    """Where the code is, for as long as the process: data may be released after Python's end.

    From a file in memory, as a library's: no page is ever writable and executable, and the CPU's
    instruction caches know of it.
    """
    from osmia.numpy_extra import numpy

    fd = os.memfd_create("osmia-arrow", os.MFD_CLOEXEC)
    try:
        os.write(fd, code)
        mapped = mmap.mmap(
            fd, len(code), flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC
        )
    except OSError as error:
        problem = f"Arrow data needs executable memory, which the system refuses: {error.strerror}"
        raise NotSupportedError(problem) from None
    finally:
        os.close(fd)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(mapped))
    base: int = numpy.frombuffer(mapped, numpy.uint8).ctypes.data
    return base
