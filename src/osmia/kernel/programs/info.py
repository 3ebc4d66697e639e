"""What the kernel tells about a program: struct bpf_prog_info as values and byte strings."""

from __future__ import annotations

import ctypes
import errno

from osmia.errors import BpfPermissionError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import ProgInfo
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import ProgramType
from osmia.paths import text_of


class ProgramInfo(NamedTuple):
    """A program as BPF_OBJ_GET_INFO_BY_FD tells of it (since 4.13).

    Lengths in bytes. `tag` is the hash of the instructions as the kernel shows it, 16 hex
    digits. `load_time` is in ns since boot. `run_time_ns` and `run_cnt` count while run
    statistics are enabled (since 5.1). `verified_insns` is how many instructions the
    verifier looked at (since 5.16). `attach_btf_obj_id` and `attach_btf_id` name the BTF
    target of a tracing program (since 6.0). What a kernel does not tell is 0 or empty.
    """

    id: int
    type: ProgramType | int
    name: str
    tag: str
    load_time: int
    uid: int
    gpl_compatible: bool
    map_ids: tuple[int, ...]
    jited_len: int
    xlated_len: int
    btf_id: int
    attach_btf_obj_id: int
    attach_btf_id: int
    run_time_ns: int
    run_cnt: int
    recursion_misses: int
    verified_insns: int
    ifindex: int
    netns_dev: int
    netns_ino: int
    function_count: int
    line_count: int


def known_program_type(number: int) -> ProgramType | int:
    """The enumeration's member, or the number itself from a newer kernel."""
    found: ProgramType | int = ProgramType._value2member_map_.get(number, number)  # type: ignore[assignment]
    return found


def program_info(fd: int) -> ProgramInfo:
    """Read all that can be read without a dump."""
    raw = _read(fd)
    return ProgramInfo(
        id=raw.id,
        type=known_program_type(raw.type),
        name=raw.name.decode("ascii", "replace"),
        tag=bytes(raw.tag).hex(),
        load_time=raw.load_time,
        uid=raw.created_by_uid,
        gpl_compatible=bool(raw.gpl_compatible & 1),
        map_ids=_map_ids(fd, raw.nr_map_ids),
        jited_len=raw.jited_prog_len,
        xlated_len=raw.xlated_prog_len,
        btf_id=raw.btf_id,
        attach_btf_obj_id=raw.attach_btf_obj_id,
        attach_btf_id=raw.attach_btf_id,
        run_time_ns=raw.run_time_ns,
        run_cnt=raw.run_cnt,
        recursion_misses=raw.recursion_misses,
        verified_insns=raw.verified_insns,
        ifindex=raw.ifindex,
        netns_dev=raw.netns_dev,
        netns_ino=raw.netns_ino,
        function_count=raw.nr_func_info,
        line_count=raw.nr_line_info,
    )


def run_statistics(fd: int) -> tuple[int, int]:
    """(ns spent in the program, runs) since statistics were enabled; no arrays are read."""
    raw = _read(fd)
    return raw.run_time_ns, raw.run_cnt


def translated_code(fd: int) -> bytes:
    """The instructions after the verifier's rewriting."""
    return _dump(fd, "xlated_prog_insns", "xlated_prog_len", 1)


def native_code(fd: int) -> bytes:
    """The machine code of the program and its subprograms, one after the other."""
    return _dump(fd, "jited_prog_insns", "jited_prog_len", 1)


def locked_memory(fd: int) -> int:
    """Bytes of kernel memory that the program's instructions take (since 4.10); 0 where the
    kernel does not say."""
    try:
        lines = text_of(f"/proc/self/fdinfo/{fd}").splitlines()
    except OSError:
        return 0
    told = (line for line in lines if line.startswith("memlock:"))
    return int(next(told, "memlock: 0").partition(":")[2])


def native_lengths(fd: int) -> tuple[int, ...]:
    """How many bytes of `native_code` each function has, the entry first; since 4.18."""
    data = _dump(fd, "jited_func_lens", "nr_jited_func_lens", 4)
    return tuple(memoryview(data).cast("I"))


def native_addresses(fd: int) -> tuple[int, ...]:
    """The kernel address of each function, the entry first; since 4.18."""
    data = _dump(fd, "jited_ksyms", "nr_jited_ksyms", 8)
    return tuple(memoryview(data).cast("Q"))


def function_records(fd: int) -> tuple[bytes, int]:
    """struct bpf_func_info records against `translated_code`, and the size of one; since 5.0."""
    size = _read(fd).func_info_rec_size
    return _dump(fd, "func_info", "nr_func_info", size, func_info_rec_size=size), size


def line_records(fd: int) -> tuple[bytes, int]:
    """struct bpf_line_info records against `translated_code`, and the size of one; since 5.0."""
    size = _read(fd).line_info_rec_size
    return _dump(fd, "line_info", "nr_line_info", size, line_info_rec_size=size), size


def native_line_addresses(fd: int) -> tuple[int, ...]:
    """The kernel address at which the code of each of `line_records` begins; since 5.0."""
    size = _read(fd).jited_line_info_rec_size
    if size < 8:
        return ()
    data = _dump(fd, "jited_line_info", "nr_jited_line_info", size, jited_line_info_rec_size=size)
    return tuple(memoryview(data).cast("Q")[:: size // 8])


def _read(fd: int) -> ProgInfo:
    raw = ProgInfo()
    syscall.obj_get_info(fd, raw, what="read program information")
    return raw


def _map_ids(fd: int, count: int) -> tuple[int, ...]:
    if not count:
        return ()
    ids = (ctypes.c_uint32 * count)()
    raw = ProgInfo(nr_map_ids=count, map_ids=ctypes.addressof(ids))
    syscall.obj_get_info(fd, raw, what="read a program's map ids")
    return tuple(ids[: min(count, raw.nr_map_ids)])


def _dump(fd: int, pointer: str, count: str, size: int, **record_sizes: int) -> bytes:
    """Ask once for the number of elements, then for the elements."""
    number = getattr(_read(fd), count)
    if not number:
        return b""
    buffer = ctypes.create_string_buffer(number * size)
    raw = ProgInfo(**{count: number, pointer: ctypes.addressof(buffer)}, **record_sizes)
    syscall.obj_get_info(fd, raw, what="dump a program")
    if not getattr(raw, pointer):
        raise BpfPermissionError(
            errno.EPERM, "dump a program", hint="kernel.kptr_restrict hides it from this process"
        )
    return buffer.raw[: min(number, getattr(raw, count)) * size]
