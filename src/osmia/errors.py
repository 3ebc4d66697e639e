"""The exceptions: every error that osmia raises on purpose is an `OsmiaError`."""

from __future__ import annotations

import errno as _errno
import os

# The name that type checkers know; `collections` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence


class OsmiaError(Exception):
    """The base of all of osmia's exceptions."""


class ObjectFormatError(OsmiaError, ValueError):
    """A file or its BTF is not what it claims: truncated, inconsistent, hostile.

    `file` names the input, `offset` is the byte offset in it (or in the section
    that `message` names) where the fault was seen, when one is known.
    """

    def __init__(self, message: str, *, file: str | None = None, offset: int | None = None) -> None:
        self.message = message
        self.file = file
        self.offset = offset
        where = f"{file}: " if file else ""
        at = f" (at offset {offset:#x})" if offset is not None else ""
        super().__init__(f"{where}{message}{at}")


class AssemblerError(OsmiaError, ValueError):
    """BPF assembly text that cannot be assembled; `line` counts from 1."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        self.line = line
        super().__init__(f"line {line}: {message}" if line is not None else message)


class EditError(OsmiaError, ValueError):
    """An edit of a function that cannot be right: out of range, a jump to what is taken out."""


class SignatureError(OsmiaError, ValueError):
    """A signature to look for that cannot be read; `column` counts from 1 in `text`."""

    def __init__(self, problem: str, text: str, offset: int) -> None:
        self.problem = problem
        self.text = text
        self.column = offset + 1
        shown = "".join(letter if letter.isprintable() else "?" for letter in text)
        super().__init__(f"column {self.column}: {problem}\n  {shown}\n  {' ' * offset}^")


class NotSignedError(OsmiaError):
    """An object that is not signed by the key that a load requires, or was changed since."""


class RewriteError(OsmiaError, ValueError):
    """What a rewriting pass was asked to do and cannot: a stack too deep, code too long,
    recursion. The message has the path of calls and the numbers."""


class TailCallError(OsmiaError, TypeError):
    """A program in a slot that a tail call in a subprogram reaches, and that returns something
    else than the subprogram: what it returns would be taken for what the subprogram does. The
    message has both declarations and the call's line."""


class CompileError(OsmiaError):
    """No usable compiler, or the compiler refused the source; `output` is what it printed."""

    def __init__(self, message: str, *, output: str = "") -> None:
        self.output = output
        super().__init__(f"{message}\n{output.rstrip()}" if output else message)


class RelocationError(OsmiaError):
    """A relocation that cannot be resolved: an unknown extern, no matching type, out of range."""


class LinkError(OsmiaError, ValueError):
    """Objects that cannot be joined: colliding symbols, types that disagree, nobody's names.

    The message names the objects, the symbol and its declarations; of several faults,
    `problems` has a line each, which the message ends with.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  ".join([f"{message}:" if problems else message, *problems]))


class ClosedError(OsmiaError, ValueError):
    """An operation on something that was closed."""


class NotSupportedError(OsmiaError):
    """Something that this kernel, engine or machine lacks.

    `since` is the first kernel version that has it, e.g. "6.6", when one is known;
    `capability` what the engine declares that it lacks (`Engine.lacks`), when it does.
    """

    def __init__(
        self, message: str, *, since: str | None = None, capability: str | None = None
    ) -> None:
        self.since = since
        self.capability = capability
        super().__init__(f"{message} (needs Linux {since} or newer)" if since else message)


class MissingPackageError(OsmiaError, ImportError):
    """A package that osmia works without, but not here; `extra` is what brings it."""

    def __init__(self, package: str, *, extra: str) -> None:
        self.extra = extra
        super().__init__(f"this needs {package}: pip install 'osmia[{extra}]'", name=package)


class KernelError(OsmiaError, OSError):
    """A system call that failed. Has `errno` and `strerror` as every `OSError`.

    `what` says what was attempted, in words: "create map 'flows'".
    """

    def __init__(self, errno: int, what: str, *, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(errno, os.strerror(errno))

    def __str__(self) -> str:
        name = _errno.errorcode.get(self.errno or 0, str(self.errno))
        hint = f"; {self.hint}" if self.hint else ""
        return f"cannot {self.what}: {self.strerror} ({name}){hint}"


class BpfPermissionError(KernelError, PermissionError):
    """The kernel refuses bpf(2) or a part of it to this process (EPERM, EACCES)."""


class MissingKeyError(KernelError, KeyError):
    """The map has no such key (ENOENT): a `KeyError` that is a `KernelError` too."""


class KeyExistsError(KernelError, FileExistsError):
    """An update with NOEXIST found the key in the map (EEXIST)."""


class MapFullError(KernelError):
    """A new key found no room: the map holds `max_entries` entries (E2BIG)."""


class EmptyMapError(KernelError, LookupError):
    """A pop or peek found the queue or stack empty (ENOENT)."""


class AmbiguousNameError(OsmiaError, KeyError):
    """A plain name that several static functions or variables of an object have.

    `candidates` are the words that mean one of them each.
    """

    def __init__(self, message: str, candidates: tuple[str, ...]) -> None:
        self.message = message
        self.candidates = candidates
        super().__init__(message)

    def __str__(self) -> str:
        return self.message


class CodecError(OsmiaError, ValueError, TypeError):
    """A Python value that its C type cannot hold, or bytes too few for it.

    `path` is where in a larger value: ".flow.ports[1]", or "" for the whole.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        self.message = message
        self.path = path
        super().__init__(f"{path}: {message}" if path else message)


class ReadOnlyError(OsmiaError, TypeError):
    """An assignment to something that cannot be changed any more."""


class MapMismatchError(OsmiaError):
    """A map that was pinned or given is not as the object defines it; `differences` lists each."""

    def __init__(self, message: str, differences: tuple[str, ...]) -> None:
        self.differences = differences
        super().__init__(f"{message}: {'; '.join(differences)}")


class VerifierError(KernelError):
    """The verifier rejected a program.

    The message is one line of what went wrong with the source file and line, then
    the tail of the log; `log` is the whole log. `kind` names the kind of refusal
    (docs/refusals.md), "" when it is none of those; `hint` says what to write instead.
    """

    def __init__(
        self,
        errno: int,
        program: str,
        summary: str,
        log: str,
        tail: str = "",
        *,
        kind: str = "",
        hint: str = "",
    ) -> None:
        self.kind = kind
        self.program = program
        self.summary = summary
        self.log = log
        self.tail = tail
        super().__init__(errno, f"load program {program!r}", hint=hint)

    def __str__(self) -> str:
        head = f"the verifier rejected program {self.program!r}: {self.summary}"
        return f"{head}\n{self.tail}" if self.tail else head


class OsmiaWarning(UserWarning):
    """The base of all of osmia's warnings."""


class LegacyObjectWarning(OsmiaWarning):
    """Something in an object of iproute2's dialect that tc passes over in silence."""
