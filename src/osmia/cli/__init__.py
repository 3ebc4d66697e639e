"""The `osmia` command. Each verb is a file here; what it does is in the library."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; `arguments` are those of the process if none are given.

    Gives the exit status: 0; 1 after an error; 2 when the command line is wrong; 130 after
    Ctrl-C (128 and the signal's number after others), 141 when nobody reads the output any more.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    _open_closed_streams()
    if given in (["--version"], ["-V"]):
        # Before click is imported: scripts ask for the version often.
        from osmia import __version__

        try:
            sys.stdout.write(f"osmia {__version__}\n")
            sys.stdout.flush()
        except OSError:
            pass  # said, with the right status, by what flushes again
        else:
            return 0
    try:
        from osmia.cli.running import run
    except KeyboardInterrupt:
        return 130

    return run(given)


def _open_closed_streams() -> None:
    """Let streams that the shell closed (`>&-`) be there: what is written to stdout fails then,
    as it does for other programs, and what goes to stderr is lost. Letters that the locale's
    encoding lacks are escaped."""
    if sys.stdout is None:
        # Of this descriptor one can only read: to flush it is EBADF.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    elif "utf" not in sys.stdout.encoding.lower() and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
