"""The door to the kernel: the only module that calls bpf(2).

One function a command, with named arguments; results are numbers and bytes. Whatever
the kernel refuses is a KernelError whose `what` says what was attempted ("create map
'flows'": callers that know a name pass `what`), EPERM and EACCES a BpfPermissionError
with a hint that was checked. Arguments called `fd` are plain descriptor numbers; new
descriptors come back as numbers too, close-on-exec, and the caller owns them.

Buffers are `bytes`, any writable buffer, or an address as an `int`.
"""

from __future__ import annotations

import ctypes
import errno as _errno
import os
import struct
from ctypes import CDLL, Structure, addressof, byref, c_char, c_char_p, c_long, c_void_p, sizeof

from osmia.errors import BpfPermissionError, KernelError, NotSupportedError
from osmia.kernel.sys import attributes as layout
from osmia.kernel.sys.commands import Command as Command
from osmia.named_tuples import NamedTuple

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from functools import partial
    from typing import Any, TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview | ctypes.Array[Any] | Structure | int
else:
    from _functools import partial  # functools brings collections along

#: BPF_F_TOKEN_FD of maps, programs and BTF objects, since 6.9: there is a token_fd.
_TOKEN_FD = 1 << 16
#: bytes of a kernel object's name, the final NUL excluded (BPF_OBJ_NAME_LEN - 1).
NAME_LENGTH = 15


#: The numbers of bpf(2) and perf_event_open(2), by machine.
_MACHINES = {"x86_64": (321, 298), "aarch64": (280, 241), "riscv64": (280, 241)}

_libc_syscall = CDLL(None, use_errno=True).syscall
_libc_syscall.restype = c_long
_libc_syscall.argtypes = (c_long, c_long, c_void_p, c_long)


_numbers: list[tuple[int, int]] = []


def numbers() -> tuple[int, int]:
    """The numbers of bpf(2) and perf_event_open(2) on this machine."""
    if _numbers:
        return _numbers[0]
    machine = os.uname().machine
    if machine not in _MACHINES or struct.calcsize("P") != 8:
        raise NotSupportedError(f"the kernel engine does not know this machine ({machine})")
    _numbers.append(_MACHINES[machine])
    return _numbers[0]


#: How often BPF_PROG_LOAD is repeated on EAGAIN: the verifier gives up for a pending signal.
_LOAD_ATTEMPTS = 5
#: How often a batch is repeated that was interrupted before it did anything.
_BATCH_ATTEMPTS = 10
#: include/linux/errno.h: an errno not meant for user space, which bpf(2) returns all the same.
_ENOTSUPP = 524


def invoke(command: int, attribute: Structure) -> int:
    """Make one bpf(2) call; the result, or the negative errno.

    Repeats on EINTR, but for test runs: what ran has run.
    """
    if command == Command.PROG_TEST_RUN:
        return _attempt(command, attribute)
    attempts = _LOAD_ATTEMPTS if command == Command.PROG_LOAD else 1
    while True:
        result = _attempt(command, attribute)
        if result == -_errno.EAGAIN:
            attempts -= 1
        if result != -_errno.EINTR and not (result == -_errno.EAGAIN and attempts > 0):
            return result


def _attempt(command: int, attribute: Structure) -> int:
    """One bpf(2) call without repetition; the result, or the negative errno."""
    result: int = _libc_syscall(numbers()[0], command, byref(attribute), sizeof(attribute))
    if result >= 0:
        return result
    error = ctypes.get_errno()
    return -(_errno.EOPNOTSUPP if error == _ENOTSUPP else error)


def bpf(command: Command, attribute: Structure, what: str) -> int:
    """Make one bpf(2) call; KernelError when the kernel refuses."""
    result = invoke(command, attribute)
    if result < 0:
        raise error_of(command, -result, what)
    return result


def error_of(command: Command, error: int, what: str) -> KernelError:
    """The exception for an errno that `command` returned."""
    if error in (_errno.EPERM, _errno.EACCES):
        from osmia.kernel.sys.privileges import needed_to_call, permission_hint

        return BpfPermissionError(error, what, hint=permission_hint(needed_to_call(command.name)))
    if error == _errno.ENOSYS:
        return KernelError(error, what, hint="this kernel was built without bpf(2)")
    return KernelError(error, what)


def address_of(buffer: Buffer | None) -> int:
    """The address of a buffer's first byte, 0 for None; the caller keeps the buffer alive."""
    match buffer:
        case None:
            return 0
        case int():
            return buffer
        case bytes():
            # The bytes of the pointer: ctypes.cast makes another object, and takes thrice as long.
            return c_void_p.from_buffer(c_char_p(buffer)).value or 0
        case ctypes.Array() | Structure():
            return addressof(buffer)
        case _:
            view = memoryview(buffer)
            return addressof((c_char * view.nbytes).from_buffer(view)) if view.nbytes else 0


def object_name(name: str) -> bytes:
    """`name` as the kernel takes it: 15 bytes of letters, digits, "_" and "."."""
    cut = name[:NAME_LENGTH]
    if cut.isascii() and cut.isidentifier():  # nearly every name, and quickly seen
        return cut.encode("ascii")
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "_.") else "_"
        for letter in cut
    ).encode("ascii")


def map_create(
    map_type: int,
    *,
    key_size: int,
    value_size: int,
    max_entries: int,
    flags: int = 0,
    name: str = "",
    inner_map_fd: int = 0,
    numa_node: int = 0,
    ifindex: int = 0,
    btf_fd: int = 0,
    btf_key_type_id: int = 0,
    btf_value_type_id: int = 0,
    btf_vmlinux_value_type_id: int = 0,
    map_extra: int = 0,
    value_type_btf_obj_fd: int = 0,
    token_fd: int = 0,
    excl_prog_hash: bytes = b"",
    what: str = "",
) -> int:
    """BPF_MAP_CREATE: a descriptor of a new map. Sizes in bytes."""
    attribute = layout.MapCreate(
        map_type=map_type,
        key_size=key_size,
        value_size=value_size,
        max_entries=max_entries,
        map_flags=flags | (_TOKEN_FD if token_fd else 0),
        inner_map_fd=inner_map_fd,
        numa_node=numa_node,
        map_name=object_name(name),
        map_ifindex=ifindex,
        btf_fd=btf_fd,
        btf_key_type_id=btf_key_type_id,
        btf_value_type_id=btf_value_type_id,
        btf_vmlinux_value_type_id=btf_vmlinux_value_type_id,
        map_extra=map_extra,
        value_type_btf_obj_fd=value_type_btf_obj_fd,
        map_token_fd=token_fd,
        excl_prog_hash=address_of(excl_prog_hash or None),
        excl_prog_hash_size=len(excl_prog_hash),
    )
    return bpf(Command.MAP_CREATE, attribute, what or f"create map {name!r}")


def map_element(
    command: Command,
    fd: int,
    *,
    key: Buffer | None = None,
    value: Buffer | None = None,
    flags: int = 0,
) -> int:
    """One BPF_MAP_*_ELEM command or BPF_MAP_GET_NEXT_KEY (next key into `value`).

    Gives 0 or the negative errno: what an errno means depends on the kind of map.
    """
    attribute = layout.MapElement(
        map_fd=fd, key=address_of(key), value=address_of(value), flags=flags
    )
    return invoke(command, attribute)


def map_batch(
    command: Command,
    fd: int,
    *,
    keys: Buffer | None,
    values: Buffer | None,
    count: int,
    in_batch: Buffer | None = None,
    out_batch: Buffer | None = None,
    element_flags: int = 0,
) -> tuple[int, int]:
    """One BPF_MAP_*_BATCH command, since 5.6: (entries done, 0 or errno).

    A lookup that reaches the end is ENOENT with the last entries counted; ENOSPC asks
    for room for at least one more bucket; an errno otherwise stops at the entry counted.
    """
    fields = {
        "in_batch": address_of(in_batch),
        "out_batch": address_of(out_batch),
        "keys": address_of(keys),
        "values": address_of(values),
        "map_fd": fd,
        "elem_flags": element_flags,
    }
    for _ in range(_BATCH_ATTEMPTS):
        attribute = layout.MapBatch(count=count, **fields)
        error = max(-_attempt(command, attribute), 0)
        if error != _errno.EINTR:
            break
        # Before 6.14 EINTR also meant that there was no value three times in a row: deletes
        # by others, or an empty slot of an array of maps. What was read before is there, and
        # the position is behind it; nothing read, the same may come again for ever.
        if attribute.count:
            return attribute.count, 0
    # A command refused from the start leaves the count as it was given.
    refused = error not in (0, _errno.ENOENT) and attribute.count == count
    return 0 if refused else attribute.count, error


def map_freeze(fd: int, *, what: str = "freeze map") -> None:
    """BPF_MAP_FREEZE, since 5.2: no more writes through bpf(2), for ever."""
    bpf(Command.MAP_FREEZE, layout.MapElement(map_fd=fd), what)


class ElementCall:
    """One prepared element operation with its own key, value and attribute memory.

    For hot paths: set `key.raw` (to exactly the key's size), call, read `value.raw`. For
    one user at a time. Calls keep the GIL: they take about a microsecond, and handing it
    over would cost more than that (bench/bench_maps.py).

    `lookup` and `update` are the bare system calls without flags, results as C gives
    them; `failure` is the errno after -1.
    """

    __slots__ = ("_attribute", "_invoke", "key", "lookup", "update", "value")

    _syscall = ctypes.PyDLL(None, use_errno=True).syscall

    def __init__(self, fd: int, key_size: int, value_size: int) -> None:
        self.key = (c_char * key_size)()
        self.value = (c_char * value_size)()
        self._attribute = layout.MapElement(
            map_fd=fd,
            key=addressof(self.key) if key_size else 0,
            value=addressof(self.value) if value_size else 0,
        )
        size = sizeof(self._attribute)
        reference = byref(self._attribute)
        number = numbers()[0]
        # partial objects call without a Python frame and without looking anything up.
        self.lookup = partial(self._syscall, number, int(Command.MAP_LOOKUP_ELEM), reference, size)
        self.update = partial(self._syscall, number, int(Command.MAP_UPDATE_ELEM), reference, size)
        self._invoke = partial(invoke, attribute=self._attribute)

    def __call__(self, command: int, flags: int = 0) -> int:
        """Make any call, with flags; 0, or the errno."""
        if not flags:
            return -self._invoke(command)
        self._attribute.flags = flags
        try:
            return -self._invoke(command)
        finally:
            self._attribute.flags = 0

    def disable(self) -> None:
        """From now on every call is EBADF; any thread may ask for that at any time."""
        self._attribute.map_fd = 0xFFFF_FFFF

    @staticmethod
    def failure() -> int:
        """The errno of the call just made by `lookup` or `update`."""
        error = ctypes.get_errno()
        return _errno.EOPNOTSUPP if error == _ENOTSUPP else error


def prog_load(
    prog_type: int,
    code: bytes,
    *,
    license: str,  # noqa: A002 - the field's name
    name: str = "",
    flags: int = 0,
    kern_version: int = 0,
    ifindex: int = 0,
    expected_attach_type: int = 0,
    btf_fd: int = 0,
    func_info: bytes = b"",
    func_info_rec_size: int = 0,
    line_info: bytes = b"",
    line_info_rec_size: int = 0,
    attach_btf_id: int = 0,
    attach_fd: int = 0,
    fd_array: Buffer | None = None,
    fd_array_cnt: int = 0,
    core_relos: bytes = b"",
    core_relo_rec_size: int = 0,
    token_fd: int = 0,
    signature: bytes = b"",
    keyring: int = 0,
    log_level: int = 0,
    log: Buffer | None = None,
    log_size: int = 0,
) -> tuple[int, int]:
    """BPF_PROG_LOAD: (descriptor or negative errno, bytes that the whole log needs).

    Raises nothing, since what an errno means is in the log: `log` is a writable buffer
    of `log_size` bytes that the verifier fills up to a NUL. The bytes needed are known
    since 6.4, 0 before. `attach_fd` is a program's or a BTF object's (attach_prog_fd,
    attach_btf_obj_fd). `name` is cut to what the kernel takes. Counts of func_info,
    line_info and core_relos follow from their record sizes.
    """
    license_text = license.encode()
    attribute = layout.ProgLoad(
        prog_type=prog_type,
        insn_cnt=len(code) // 8,
        insns=address_of(code),
        license=address_of(license_text),
        log_level=log_level,
        log_size=log_size,
        log_buf=address_of(log),
        kern_version=kern_version,
        prog_flags=flags | (_TOKEN_FD if token_fd else 0),
        prog_name=object_name(name),
        prog_ifindex=ifindex,
        expected_attach_type=expected_attach_type,
        prog_btf_fd=btf_fd,
        func_info_rec_size=func_info_rec_size,
        func_info=address_of(func_info or None),
        func_info_cnt=_record_count(func_info, func_info_rec_size),
        line_info_rec_size=line_info_rec_size,
        line_info=address_of(line_info or None),
        line_info_cnt=_record_count(line_info, line_info_rec_size),
        attach_btf_id=attach_btf_id,
        attach_btf_obj_fd=attach_fd,
        core_relo_cnt=_record_count(core_relos, core_relo_rec_size),
        fd_array=address_of(fd_array),
        core_relos=address_of(core_relos or None),
        core_relo_rec_size=core_relo_rec_size,
        prog_token_fd=token_fd,
        fd_array_cnt=fd_array_cnt,
        signature=address_of(signature or None),
        signature_size=len(signature),
        keyring_id=keyring,
    )
    result = invoke(Command.PROG_LOAD, attribute)
    return result, attribute.log_true_size


def _record_count(records: bytes, size: int) -> int:
    return len(records) // size if size else 0


class TestRunResult(NamedTuple):
    """What BPF_PROG_TEST_RUN wrote: sizes in bytes, `duration` in ns, the mean of a run.

    `error` is 0, or ENOSPC when `data_out` or `ctx_out` was too small: the size fields
    say what is needed and what fitted was written.
    """

    retval: int
    data_size: int
    ctx_size: int
    duration: int
    error: int


def prog_test_run(
    fd: int,
    *,
    data: bytes | None = None,
    data_out: Buffer | None = None,
    data_size_out: int = 0,
    ctx: bytes | bytearray | None = None,
    ctx_out: Buffer | None = None,
    ctx_size_out: int = 0,
    repeat: int = 0,
    flags: int = 0,
    cpu: int = 0,
    batch_size: int = 0,
    what: str = "run program",
) -> TestRunResult:
    """BPF_PROG_TEST_RUN, since 4.12 (ctx: 5.2; flags, cpu: 5.10; batch_size: 5.18)."""
    attribute = layout.TestRun(
        prog_fd=fd,
        data_size_in=len(data or b""),
        data_size_out=data_size_out,
        data_in=address_of(data),
        data_out=address_of(data_out),
        repeat=repeat,
        ctx_size_in=len(ctx or b""),
        ctx_size_out=ctx_size_out,
        ctx_in=address_of(ctx),
        ctx_out=address_of(ctx_out),
        flags=flags,
        cpu=cpu,
        batch_size=batch_size,
    )
    error = -invoke(Command.PROG_TEST_RUN, attribute)
    if error > 0 and error != _errno.ENOSPC:
        raise error_of(Command.PROG_TEST_RUN, error, what)
    return TestRunResult(
        retval=attribute.retval,
        data_size=attribute.data_size_out,
        ctx_size=attribute.ctx_size_out,
        duration=attribute.duration,
        error=max(error, 0),
    )


def prog_attach(
    fd: int,
    *,
    target: int,
    attach_type: int,
    flags: int = 0,
    replace_fd: int = 0,
    relative: int = 0,
    expected_revision: int = 0,
    what: str = "attach program",
) -> None:
    """BPF_PROG_ATTACH. `target` is a descriptor or interface index; `relative` a fd or id."""
    attribute = layout.ProgAttach(
        target_fd=target,
        attach_bpf_fd=fd,
        attach_type=attach_type,
        attach_flags=flags,
        replace_bpf_fd=replace_fd,
        relative_fd=relative,
        expected_revision=expected_revision,
    )
    bpf(Command.PROG_ATTACH, attribute, what)


def prog_detach(
    fd: int,
    *,
    target: int,
    attach_type: int,
    flags: int = 0,
    relative: int = 0,
    expected_revision: int = 0,
    what: str = "detach program",
) -> None:
    """BPF_PROG_DETACH; `fd` 0 where the hook holds one program only."""
    attribute = layout.ProgAttach(
        target_fd=target,
        attach_bpf_fd=fd,
        attach_type=attach_type,
        attach_flags=flags,
        relative_fd=relative,
        expected_revision=expected_revision,
    )
    bpf(Command.PROG_DETACH, attribute, what)


class QueryResult(NamedTuple):
    """What hangs on a hook: `link_ids` and `revision` are filled for tcx, netkit, cgroup."""

    prog_ids: tuple[int, ...]
    prog_flags: tuple[int, ...]
    link_ids: tuple[int, ...]
    attach_flags: int
    revision: int


def prog_query(
    *,
    target: int,
    attach_type: int,
    flags: int = 0,
    want_flags: bool = False,
    want_links: bool = False,
    what: str = "query attached programs",
) -> QueryResult:
    """BPF_PROG_QUERY, since 4.15. Per-program flags since 6.0, link ids since 6.6: ask
    for them only where the hook has them, others answer EINVAL."""
    room = 64
    while True:
        ids, prog_flags, links = ((ctypes.c_uint32 * room)() for _ in range(3))
        attribute = layout.ProgQuery(
            target_fd=target,
            attach_type=attach_type,
            query_flags=flags,
            prog_ids=addressof(ids),
            count=room,
            prog_attach_flags=addressof(prog_flags) if want_flags else 0,
            link_ids=addressof(links) if want_links else 0,
        )
        error = -invoke(Command.PROG_QUERY, attribute)
        if error <= 0:
            count = attribute.count
            return QueryResult(
                prog_ids=tuple(ids[:count]),
                prog_flags=tuple(prog_flags[:count]) if want_flags else (),
                link_ids=tuple(links[:count]) if want_links else (),
                attach_flags=attribute.attach_flags,
                revision=attribute.revision,
            )
        if error != _errno.ENOSPC or attribute.count <= room:
            raise error_of(Command.PROG_QUERY, error, what)
        room = attribute.count * 2


def raw_tracepoint_open(
    fd: int, *, name: str = "", cookie: int = 0, what: str = "open raw tracepoint"
) -> int:
    """BPF_RAW_TRACEPOINT_OPEN, since 4.17: a link's descriptor. `name` "" for BTF programs."""
    text = name.encode()
    attribute = layout.RawTracepointOpen(
        name=address_of(text) if name else 0, prog_fd=fd, cookie=cookie
    )
    return bpf(Command.RAW_TRACEPOINT_OPEN, attribute, what)


def prog_bind_map(fd: int, map_fd: int, *, what: str = "bind map to program") -> None:
    """BPF_PROG_BIND_MAP, since 5.10: the program keeps the map alive."""
    bpf(Command.PROG_BIND_MAP, layout.ProgBindMap(prog_fd=fd, map_fd=map_fd), what)


def prog_stream_read(
    fd: int, *, stream: int = 1, size: int = 65536, what: str = "read program stream"
) -> bytes:
    """BPF_PROG_STREAM_READ_BY_FD, since 6.17: what the program printed so far.

    `stream` 1 is its standard output, 2 its standard error; b"" when there is no more.
    """
    buffer = ctypes.create_string_buffer(size)
    attribute = layout.ProgStreamRead(
        stream_buf=addressof(buffer), stream_buf_len=size, stream_id=stream, prog_fd=fd
    )
    return buffer.raw[: bpf(Command.PROG_STREAM_READ_BY_FD, attribute, what)]


def obj_pin(
    fd: int, path: str | bytes, *, flags: int = 0, path_fd: int = 0, what: str = ""
) -> None:
    """BPF_OBJ_PIN, since 4.4. `path_fd` with BPF_F_PATH_FD in `flags` since 6.5."""
    bpf(Command.OBJ_PIN, *_path_attribute("pin to", fd, path, flags, path_fd, what))


def obj_get(path: str | bytes, *, flags: int = 0, path_fd: int = 0, what: str = "") -> int:
    """BPF_OBJ_GET, since 4.4: a descriptor of what is pinned there."""
    return bpf(Command.OBJ_GET, *_path_attribute("open pin", 0, path, flags, path_fd, what))


def _path_attribute(
    verb: str, fd: int, path: str | bytes, flags: int, path_fd: int, what: str
) -> tuple[Structure, str]:
    name = os.fsencode(path)
    attribute = layout.ObjPath(
        pathname=address_of(name), bpf_fd=fd, file_flags=flags, path_fd=path_fd
    )
    attribute.keep = name  # the address is valid as long as the attribute lives
    return attribute, what or f"{verb} {os.fsdecode(name)!r}"


def _next_id(command: Command, start: int) -> int | None:
    attribute = layout.ObjectId(id=start)
    result = invoke(command, attribute)
    if result == -_errno.ENOENT:
        return None
    if result < 0:
        raise error_of(command, -result, f"list {command.name.split('_')[0].lower()} ids")
    next_id: int = attribute.next_id
    return next_id


def prog_get_next_id(start: int) -> int | None:
    """BPF_PROG_GET_NEXT_ID, since 4.13: the smallest program id above `start`."""
    return _next_id(Command.PROG_GET_NEXT_ID, start)


def map_get_next_id(start: int) -> int | None:
    """BPF_MAP_GET_NEXT_ID, since 4.13: the smallest map id above `start`."""
    return _next_id(Command.MAP_GET_NEXT_ID, start)


def btf_get_next_id(start: int) -> int | None:
    """BPF_BTF_GET_NEXT_ID, since 5.4: the smallest BTF id above `start`."""
    return _next_id(Command.BTF_GET_NEXT_ID, start)


def link_get_next_id(start: int) -> int | None:
    """BPF_LINK_GET_NEXT_ID, since 5.8: the smallest link id above `start`."""
    return _next_id(Command.LINK_GET_NEXT_ID, start)


def _fd_by_id(command: Command, identifier: int, flags: int = 0, token_fd: int = 0) -> int:
    if token_fd:
        flags |= _TOKEN_FD
    attribute = layout.ObjectId(identifier, 0, flags, token_fd)
    result = invoke(command, attribute)
    if result < 0:
        kind = command.name.split("_")[0].lower()
        raise error_of(command, -result, f"open {kind} {identifier}")
    return result


def prog_get_fd_by_id(identifier: int) -> int:
    """BPF_PROG_GET_FD_BY_ID, since 4.13; ENOENT when there is none."""
    return _fd_by_id(Command.PROG_GET_FD_BY_ID, identifier)


def map_get_fd_by_id(identifier: int, *, flags: int = 0) -> int:
    """BPF_MAP_GET_FD_BY_ID, since 4.13; `flags` BPF_F_RDONLY or BPF_F_WRONLY."""
    return _fd_by_id(Command.MAP_GET_FD_BY_ID, identifier, flags)


def btf_get_fd_by_id(identifier: int, *, token_fd: int = 0) -> int:
    """BPF_BTF_GET_FD_BY_ID, since 4.18, with a BPF token since 6.16; ENOENT when there is none."""
    return _fd_by_id(Command.BTF_GET_FD_BY_ID, identifier, token_fd=token_fd)


def link_get_fd_by_id(identifier: int) -> int:
    """BPF_LINK_GET_FD_BY_ID, since 5.8; ENOENT when there is none."""
    return _fd_by_id(Command.LINK_GET_FD_BY_ID, identifier)


def obj_get_info(fd: int, info: Structure, *, what: str = "read information") -> int:
    """BPF_OBJ_GET_INFO_BY_FD, since 4.13, into one of attributes' …Info structures.

    `info` may ask for arrays: set their addresses and room first. Gives the bytes that
    this kernel filled in; what it does not know stays as it was.
    """
    attribute = layout.GetInfo(fd, sizeof(info), addressof(info))
    bpf(Command.OBJ_GET_INFO_BY_FD, attribute, what)
    length: int = attribute.info_len
    return length


def enable_stats(kind: int = 0) -> int:
    """BPF_ENABLE_STATS, since 5.8: run times are counted while the descriptor is open."""
    return bpf(Command.ENABLE_STATS, layout.EnableStats(type=kind), "enable run statistics")


def token_create(bpffs_fd: int, *, flags: int = 0) -> int:
    """BPF_TOKEN_CREATE, since 6.9: a token of the bpffs whose root `bpffs_fd` is."""
    attribute = layout.TokenCreate(flags=flags, bpffs_fd=bpffs_fd)
    return bpf(Command.TOKEN_CREATE, attribute, "create BPF token")


def task_fd_query(pid: int, fd: int) -> tuple[int, int, str, int, int]:
    """BPF_TASK_FD_QUERY, since 4.18: what a perf event or raw tracepoint fd of a task runs.

    Gives (program id, enum bpf_task_fd_type, name, probe offset, probe address).
    """
    name = ctypes.create_string_buffer(4096)
    attribute = layout.TaskFdQuery(pid=pid, fd=fd, buf=addressof(name), buf_len=sizeof(name))
    bpf(Command.TASK_FD_QUERY, attribute, f"query descriptor {fd} of process {pid}")
    return (
        attribute.prog_id,
        attribute.fd_type,
        os.fsdecode(name.value),
        attribute.probe_offset,
        attribute.probe_addr,
    )


def btf_load(
    data: Buffer,
    size: int,
    *,
    log_level: int = 0,
    log: Buffer | None = None,
    log_size: int = 0,
    token_fd: int = 0,
) -> tuple[int, int]:
    """BPF_BTF_LOAD, since 4.18: (descriptor or negative errno, bytes the whole log needs)."""
    attribute = layout.BtfLoad(
        btf=address_of(data),
        btf_log_buf=address_of(log),
        btf_size=size,
        btf_log_size=log_size,
        btf_log_level=log_level,
        btf_flags=_TOKEN_FD if token_fd else 0,
        btf_token_fd=token_fd,
    )
    result = invoke(Command.BTF_LOAD, attribute)
    return result, attribute.btf_log_true_size


def link_create(
    prog_fd: int,
    *,
    target: int = 0,
    attach_type: int,
    flags: int = 0,
    options: Structure | None = None,
    what: str = "create link",
) -> int:
    """BPF_LINK_CREATE, since 5.7: a link's descriptor.

    `prog_fd` is a map's for struct_ops. `target` is a descriptor or an interface index.
    `options` is one of attributes' Link…Options.
    """
    attribute = layout.LinkCreate(
        prog_fd=prog_fd, target_fd=target, attach_type=attach_type, flags=flags
    )
    if options is not None:
        ctypes.memmove(attribute.options, addressof(options), sizeof(options))
    return bpf(Command.LINK_CREATE, attribute, what)


def link_update(
    fd: int, new_fd: int, *, old_fd: int = 0, flags: int = 0, what: str = "update link"
) -> None:
    """BPF_LINK_UPDATE, since 5.7; `old_fd` counts with BPF_F_REPLACE (4) in `flags`."""
    attribute = layout.LinkUpdate(link_fd=fd, new_prog_fd=new_fd, flags=flags, old_prog_fd=old_fd)
    bpf(Command.LINK_UPDATE, attribute, what)


def link_detach(fd: int, *, what: str = "detach link") -> None:
    """BPF_LINK_DETACH, since 5.9: the link stays, attached to nothing."""
    bpf(Command.LINK_DETACH, layout.LinkDetach(link_fd=fd), what)


def iter_create(link_fd: int, *, flags: int = 0, what: str = "start iterator") -> int:
    """BPF_ITER_CREATE, since 5.8: a descriptor whose read(2) runs the iterator."""
    return bpf(Command.ITER_CREATE, layout.IterCreate(link_fd=link_fd, flags=flags), what)


def prog_assoc_struct_ops(prog_fd: int, map_fd: int, *, what: str) -> None:
    """BPF_PROG_ASSOC_STRUCT_OPS, since 7.0: kfuncs that a program calls act on a struct_ops."""
    attribute = layout.ProgAssocStructOps(map_fd=map_fd, prog_fd=prog_fd)
    bpf(Command.PROG_ASSOC_STRUCT_OPS, attribute, what)
