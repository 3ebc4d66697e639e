"""What went wrong, said on stderr: in a line, or as an object where JSON is printed."""

from __future__ import annotations

import errno
import os
import sys

import click

from osmia.cli.output import Output
from osmia.errors import CompileError, OsmiaError, VerifierError

#: Errors in what the user wrote, which say where: a traceback through osmia tells nobody more.
_TOLD_WHOLE = (click.ClickException, CompileError, VerifierError)


def report(error: Exception, output: Output) -> int:
    """Say on stderr what went wrong, in a line; the exit status."""
    if output.verbose and not isinstance(error, _TOLD_WHOLE):
        _print_traceback(error)
    match error:
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return 2
        case click.UsageError():
            path = error.ctx.command_path if error.ctx is not None else "osmia"
            _complain(f"{error.format_message()} (see {path} --help)", output)
            return 2
        case click.ClickException():
            _complain(error.format_message(), output)
        case VerifierError():
            _complain(str(error), output, kind=error.kind, hint=error.hint)
            if output.verbose:
                sys.stderr.write(f"{error.log.rstrip()}\n")
        case OsmiaError():
            _complain(str(error), output)
        case OSError() if error.filename is not None:
            _complain(f"{os.fsdecode(error.filename)}: {error.strerror}", output)
        case KeyError():
            _complain(str(error.args[0]) if error.args else "no such key", output)
        case OSError() if error.strerror:
            # Nothing else is written to without a name in the error.
            of_output = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)
            _complain(f"standard output: {error.strerror}" if of_output else error.strerror, output)
        case OSError() | ValueError() | NotImplementedError() | ModuleNotFoundError():
            _complain(str(error), output)
        case _:
            if not output.verbose:
                _print_traceback(error)
            _complain(f"this should not happen: {type(error).__name__}: {error}", output)
    return 1


def _print_traceback(error: Exception) -> None:
    import traceback  # which few commands need

    traceback.print_exception(error, file=sys.stderr)


def _complain(message: str, output: Output, **known: str) -> None:
    """One line where the message is one, an object where JSON is printed, with what else is
    `known`; text is untrusted, so no control characters."""
    if output.json:
        import json

        document = {"error": message} | {name: text for name, text in known.items() if text}
        sys.stderr.write(json.dumps(document) + "\n")
        return
    lines = message.splitlines() or [""]
    shown = ["".join(c if c.isprintable() or c == "\t" else "?" for c in line) for line in lines]
    sys.stderr.write("osmia: " + "\n".join(shown) + "\n")
