"""Loading an object by its signed loader: the kernel checks the signature, then runs it."""

from __future__ import annotations

import ctypes
import errno
import struct
from contextlib import ExitStack
from hashlib import sha256
from typing import Any

from osmia.btf import Kind, kernel_btf
from osmia.errors import KernelError, NotSignedError, NotSupportedError
from osmia.kernel.load.adopting import AdoptedObject
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.replay import Descriptors
from osmia.kernel.load.target import kernel_target
from osmia.kernel.programs.verifier_log import verifier_error
from osmia.kernel.skeletons.code import CHANGED, CONTEXT_SIZE
from osmia.kernel.skeletons.contents import Contents, contents_of
from osmia.kernel.skeletons.loader_program import MAP_SIZE, PROGRAM_SIZE, Form, LoaderProgram
from osmia.kernel.skeletons.signed import SignedLoader, kept_loader
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.further_attributes import MapInfo
from osmia.kernel.sys.keyrings import keyring_number
from osmia.kernel.sys.syscall import Command, error_of
from osmia.object.model import Object
from osmia.object.uapi import MapType, ProgramType

_SLEEPABLE = 1 << 4
_SINCE = "6.18"
_LOG_SIZE = 1 << 20
#: struct bpf_loader_ctx: log_level, log_size, log.
_LOG = struct.Struct("=8xIIQ")
_LOG_ALL = 1
_DESCRIPTOR = struct.Struct("=i")
_LICENSE = "Dual BSD/GPL"
#: What kernels take at most.
_LARGEST_SIGNATURE = 8 << 10

#: What the kernel says of signatures, by errno.
_REFUSALS = {
    errno.ENOKEY: "no key of the signer's certificate is in the keyring {keyring}",
    errno.EKEYREJECTED: "its loader is not what was signed, or the signature is another key's",
    errno.EBADMSG: "its signature is no PKCS#7 that the kernel reads",
    errno.EKEYEXPIRED: "the signer's key in the keyring {keyring} has expired",
    errno.EKEYREVOKED: "the signer's key in the keyring {keyring} was revoked",
    errno.EINVAL: "there is no keyring {keyring}",
}


def load_signed(obj: Object, keyring: str | int, **others: Any) -> KernelObject:
    """Load an object by the loader that `osmia sign --kernel` left beside its file, which the
    kernel lets run if a certificate in `keyring` (a name of KEYRINGS, a serial number) is its
    signer's.

    Nothing can be changed on the way: ValueError for `others`, options of a load. NotSignedError
    for an object without such a loader or with one that is not what was signed; since 6.18,
    before and without the kernel's part NotSupportedError; else as `load`.
    """
    for name, value in others.items():
        if value:
            raise ValueError(f"a signed loader does as it was signed, without {name}=")
    keyring_number(keyring)
    return load_loader(obj, kept_loader(obj), keyring)


def load_loader(obj: Object, signed: SignedLoader, keyring: str | int) -> KernelObject:
    """Load an object by a signed loader of its; see `load_signed`."""
    contents = contents_of(obj, kernel_target())
    form = loader_form()
    owner = obj.path or obj.name
    if form not in signed.forms:
        raise NotSignedError(f"{owner} is not signed for kernels such as this one")
    made, signature = signed.forms[form]
    if not 0 < len(signature) <= _LARGEST_SIGNATURE:  # the kernel takes none for no wish for one
        raise NotSignedError(f"{owner}: a signature for the kernel of {len(signature):,} bytes")
    load = _Load(owner, form, made, signature, keyring)
    context, error, _ = load.run(contents)
    if error:
        _, error, log = load.run(contents, _LOG_SIZE)
        if log.strip():
            raise verifier_error(error, obj.name, log)
        raise KernelError(error, f"load {owner} by its signed loader")
    descriptors = _made(contents, context)
    try:
        return AdoptedObject(contents.object, descriptors)
    except BaseException:
        descriptors.close()
        raise


def loader_form() -> Form:
    """Which form of loaders this kernel takes. NotSupportedError where it takes none: one whose
    loaders cannot see whether their bytes are still writable is no better."""
    btf = kernel_btf()
    map_type = btf.find("bpf_map", Kind.STRUCT)
    members = getattr(btf.type(map_type), "members", ())
    if any(each.name == "excl" for each in members):
        return Form.CHECKED
    if btf.find("bpf_sig_verdict", Kind.ENUM):
        return Form.COVERED
    raise NotSupportedError("signatures of BPF programs are not checked here", since=_SINCE)


class _Load:
    """What one load needs of a signed loader."""

    def __init__(
        self, owner: str, form: Form, made: LoaderProgram, signature: bytes, keyring: str | int
    ) -> None:
        self.owner = owner
        self.form = form
        self.made = made
        self.signature = signature
        self.keyring = keyring

    def run(self, contents: Contents, log_size: int = 0) -> tuple[bytearray, int, str]:
        """Run it: the context with what it made, its errno, and the log of what it loads."""
        maps, programs = len(contents.maps), len(contents.programs)
        context = bytearray(CONTEXT_SIZE + MAP_SIZE * maps + PROGRAM_SIZE * programs)
        log = ctypes.create_string_buffer(log_size or 1)
        if log_size:
            _LOG.pack_into(context, 0, _LOG_ALL, log_size, ctypes.addressof(log))
        with self._map() as data, self._program(data) as program:
            what = f"run the signed loader of {self.owner}"
            ran = syscall.prog_test_run(program.fileno(), ctx=context, what=what)
        error = -ctypes.c_int32(ran.retval).value
        if error == CHANGED:
            raise NotSignedError(f"{self.owner}: what its signed loader loads was changed")
        return context, max(error, 0), log.value.decode("utf-8", "replace")

    def _map(self) -> FileDescriptor:
        """The loader's map: its bytes, which it alone can change from now on."""
        data = self.made.data
        what = "create the map of a signed loader"
        with ExitStack() as undo:
            fd = undo.enter_context(
                FileDescriptor(
                    syscall.map_create(
                        MapType.ARRAY,
                        key_size=4,
                        value_size=len(data),
                        max_entries=1,
                        name="__loader.map",
                        excl_prog_hash=sha256(self.made.code).digest(),
                        what=what,
                    ),
                    what,
                )
            )
            number = fd.fileno()
            error = -syscall.map_element(Command.MAP_UPDATE_ELEM, number, key=bytes(4), value=data)
            if error:
                raise error_of(Command.MAP_UPDATE_ELEM, error, what)
            syscall.map_freeze(number, what=what)
            if self.form is Form.CHECKED:  # the kernel keeps the hash, where the loader finds it
                digest = ctypes.create_string_buffer(32)
                info = MapInfo(hash=ctypes.addressof(digest), hash_size=len(digest))
                syscall.obj_get_info(number, info, what=what)
            undo.pop_all()
        return fd

    def _program(self, data: FileDescriptor) -> FileDescriptor:
        result = self._load(data)
        if result >= 0:
            return FileDescriptor(result, f"the signed loader of {self.owner}")
        log = ctypes.create_string_buffer(_LOG_SIZE)
        if -result not in _REFUSALS and -result != errno.EOPNOTSUPP:
            self._load(data, log)
        raise self._refusal(-result, log.value.decode("utf-8", "replace"))

    def _load(self, data: FileDescriptor, log: Any = None) -> int:
        result, _ = syscall.prog_load(
            ProgramType.SYSCALL,
            self.made.code,
            license=_LICENSE,
            name="__loader.prog",
            flags=_SLEEPABLE,
            fd_array=(ctypes.c_int * 1)(data.fileno()),
            fd_array_cnt=int(self.form is Form.COVERED),
            signature=self.signature,
            keyring=keyring_number(self.keyring),
            log_level=_LOG_ALL if log is not None else 0,
            log=log,
            log_size=_LOG_SIZE if log is not None else 0,
        )
        return result

    def _refusal(self, error: int, log: str) -> Exception:
        if error == errno.EOPNOTSUPP:
            why = "this kernel was built without checking signatures of BPF programs"
            return NotSupportedError(f"{self.owner}: {why} (CONFIG_SYSTEM_DATA_VERIFICATION)")
        if error in _REFUSALS:
            why = _REFUSALS[error].format(keyring=self.keyring)
            return NotSignedError(f"{self.owner}: the kernel refuses it: {why}")
        if log.strip():
            return verifier_error(error, "__loader.prog", log)
        return error_of(Command.PROG_LOAD, error, f"load the signed loader of {self.owner}")


def _made(contents: Contents, context: bytearray) -> Descriptors:
    """The descriptors that a loader gave, by names."""
    made = Descriptors()
    at = CONTEXT_SIZE
    for each in contents.maps:
        (fd,) = _DESCRIPTOR.unpack_from(context, at)
        at += MAP_SIZE
        if each.section is not None:
            name = each.section.name
            made.sections[name] = FileDescriptor(fd, f"map {name!r}")
        else:
            name = each.definition.name
            made.maps[name] = FileDescriptor(fd, f"map {name!r}")
    for program in contents.programs:
        (fd,) = _DESCRIPTOR.unpack_from(context, at)
        at += PROGRAM_SIZE
        if fd:
            made.programs[program.name] = FileDescriptor(fd, f"program {program.name!r}")
    return made
