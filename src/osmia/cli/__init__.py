"""The `osmia` command. Each verb is a file here; what it does is in the library."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; `arguments` are those of the process if none are given.

    Gives the exit status: 0; 1 after an error; 2 when the command line is wrong; 130 after
    Ctrl-C (128 and the signal's number after others), 141 when nobody reads the output any more.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given in (["--version"], ["-V"]):
        # Before click is imported: scripts ask for the version often.
        from osmia import __version__

        sys.stdout.write(f"osmia {__version__}\n")
        return 0
    try:
        from osmia.cli.application import run
    except KeyboardInterrupt:
        return 130

    return run(given)
