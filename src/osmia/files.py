"""Write a file whole or not at all."""

from __future__ import annotations

import os

# The name that type checkers know; `pathlib` is dear, and only who calls this has it already.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o666, durable: bool = True) -> None:
    """Put `content` in the place of what `path` has; readers see one or the other.

    When it fails, what was there is there still. `mode` is less the umask. Without `durable`
    all that does not hold when the machine loses power meanwhile, and writing is faster. What
    is no regular file (a pipe, /dev/stdout) is written to as it is.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()
    shown = os.fsdecode(os.fsencode(path.name)[:200])  # 255 bytes are a name, not letters
    temporary = path.with_name(f".{shown}.{os.urandom(6).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, mode)
    except OSError as error:
        error.filename = os.fspath(path)  # nobody knows the temporary one
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = os.fspath(path), None
        raise
