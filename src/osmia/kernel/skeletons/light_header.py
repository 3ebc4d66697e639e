"""The text of a light skeleton's header: C structs and functions around the loader program.

Names and layouts are those of bpftool's light skeletons, so that one takes the place of the
other: `struct NAME` begins with what libbpf's skel_internal.h hands to the loader, and
`NAME__open_and_load`, `NAME__attach`, `NAME__destroy`, … are the functions.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from hashlib import sha256

from osmia.kernel.skeletons.c_bytes import byte_string
from osmia.kernel.skeletons.c_variables import section_struct
from osmia.kernel.skeletons.contents import Contents, SkeletonMap
from osmia.kernel.skeletons.loader_program import LoaderProgram
from osmia.kernel.skeletons.names import member_name
from osmia.object import model
from osmia.object.model import DataKind
from osmia.object.uapi import AttachType, ProgramType

_BEGIN = """\
/* Written by `osmia gen skeleton -L`: {what} and the BPF program that loads it. */
#ifndef __{guard}_SKEL_H__
#define __{guard}_SKEL_H__

#ifndef __KERNEL__
#include <errno.h>
#include <string.h>
#endif
#include <bpf/skel_internal.h>
"""

_ATTACH = """\
static inline int
{name}__{program}__attach(struct {name} *skel)
{{
	int prog_fd = skel->progs.{program}.prog_fd;
	int fd = {attachment};

	if (fd > 0)
		skel->links.{program}_fd = fd;
	return fd;
}}
"""

_OPEN = """\
static inline struct {name} *
{name}__open(void)
{{
	struct {name} *skel;

	skel = (struct {name} *)skel_alloc(sizeof(*skel));
	if (!skel)
		return NULL;
	skel->ctx.sz = (char *)&skel->links - (char *)skel;
{sections}	return skel;
{failed}}}
"""

_PREPARE = """\
	{{
		static const char data[] __attribute__((__aligned__(8))) =
{data};

		skel->{map} = (__typeof__(skel->{map}))skel_prep_map_data((void *)data, {size},
						sizeof(data) - 1);
		if (!skel->{map})
			goto failed;
		skel->maps.{map}.initial_value = (__u64)(long)skel->{map};
	}}
"""

_LOAD = """\
static inline int
{name}__load(struct {name} *skel)
{{
	static const char data[] __attribute__((__aligned__(8))) =
{data};
	static const char insns[] __attribute__((__aligned__(8))) =
{code};
	struct bpf_load_and_run_opts opts = {{}};
	int err;

	opts.ctx = (struct bpf_loader_ctx *)skel;
	opts.data = (void *)data;
	opts.data_sz = sizeof(data) - 1;
	opts.insns = (void *)insns;
	opts.insns_sz = sizeof(insns) - 1;
{signature}	err = bpf_load_and_run(&opts);
	if (err < 0)
		return err;
{sections}	return 0;
}}

static inline struct {name} *
{name}__open_and_load(void)
{{
	struct {name} *skel = {name}__open();

	if (skel && {name}__load(skel)) {{
		{name}__destroy(skel);
		return NULL;
	}}
	return skel;
}}
"""

_SIGNATURE = """\
	static const char signature[] __attribute__((__aligned__(8))) =
{signature};
	static const char hash[] __attribute__((__aligned__(8))) =
{hash};

	opts.signature = (void *)signature;
	opts.signature_sz = sizeof(signature) - 1;
	opts.excl_prog_hash = (void *)hash;
	opts.excl_prog_hash_sz = sizeof(hash) - 1;
	opts.keyring_id = skel->keyring_id;
"""

_FINALIZE = """\
	skel->{map} = (__typeof__(skel->{map}))skel_finalize_map_data(&skel->maps.{map}.initial_value,
					{size}, {access}, skel->maps.{map}.map_fd);
	if (!skel->{map})
		return -ENOMEM;
"""


def header_text(
    contents: Contents, program: LoaderProgram, name: str, signature: bytes = b""
) -> str:
    """The header for a skeleton of that name, which is a C identifier; with a `signature` of the
    program the kernel is to check it."""
    maps = dict(zip(_map_names(contents.maps), contents.maps, strict=True))
    what = contents.object.name.replace("*/", "* /")
    parts = [
        _BEGIN.format(what=what, guard=name.upper()),
        _struct(contents, maps, name, signed=bool(signature)),
        *(_attach_function(name, each) for each in contents.programs),
        _attach_all(contents, name),
        _destroy(contents, maps, name),
        _open(maps, name),
        _load(maps, program, name, signature),
        "#endif\n",
    ]
    return "\n".join(parts)


def _map_names(maps: Iterable[SkeletonMap]) -> Iterator[str]:
    """What the maps are called in C; those of data sections by their section."""
    for each in maps:
        yield member_name(each.definition.name if each.section is None else each.section.name)


def _mapped(maps: dict[str, SkeletonMap]) -> Iterator[tuple[str, int, str, bytes]]:
    """Names, sizes in memory, access and contents of the maps whose variables C code sees."""
    for name, each in maps.items():
        if each.mapped and each.section is not None:
            size = -(-len(each.section.contents) // mmap.PAGESIZE) * mmap.PAGESIZE
            constant = each.section.kind in (DataKind.RODATA, DataKind.KCONFIG)
            access = "PROT_READ" if constant else "PROT_READ | PROT_WRITE"
            yield name, size, access, bytes(each.section.contents)


def _struct(contents: Contents, maps: dict[str, SkeletonMap], name: str, *, signed: bool) -> str:
    lines = [f"struct {name} {{", "\tstruct bpf_loader_ctx ctx;"]
    programs = [each.name for each in contents.programs]
    lines += _group("maps", [f"struct bpf_map_desc {each};" for each in maps])
    lines += _group("progs", [f"struct bpf_prog_desc {each};" for each in programs])
    # Behind this, the loader program sees nothing; without programs too it has to have a place.
    lines += _group("links", [f"int {each}_fd;" for each in programs], keep=True)
    lines += ["\t__s32 keyring_id;"] if signed else []
    for each, made in maps.items():
        if made.mapped and made.section is not None:
            fields = section_struct(contents.object, made.section)
            lines += [f"\tstruct {name}__{each} {{", *fields, f"\t}} *{each};"]
    return "\n".join([*lines, "};", ""])


def _group(name: str, fields: list[str], *, keep: bool = False) -> list[str]:
    if not fields and not keep:
        return []
    return ["\tstruct {", *(f"\t\t{field}" for field in fields), f"\t}} {name};"]


def _attach_function(name: str, program: model.Program) -> str:
    attachment = _attachment(program)
    return _ATTACH.format(name=name, program=program.name, attachment=attachment)


def _attachment(program: model.Program) -> str:
    """The expression that attaches a program; 0 where it takes more than skel_internal.h has."""
    attach_type = program.expected_attach_type
    if program.autoload:
        match program.type:
            case ProgramType.RAW_TRACEPOINT if program.attach_to:
                return f'skel_raw_tracepoint_open("{program.attach_to}", prog_fd)'
            case ProgramType.TRACING if attach_type is AttachType.TRACE_ITER:
                return "skel_link_create(prog_fd, 0, BPF_TRACE_ITER)"
            case ProgramType.TRACING | ProgramType.LSM if program.auto_attach:
                return "skel_raw_tracepoint_open(NULL, prog_fd)"
    return "/* needs to be told where */ ((void)prog_fd, 0)"


def _attach_all(contents: Contents, name: str) -> str:
    programs = [each.name for each in contents.programs]
    calls = [f"\tret = ret < 0 ? ret : {name}__{each}__attach(skel);" for each in programs]
    closes = [f"\tskel_closenz(skel->links.{each}_fd);" for each in programs]
    return "\n".join(
        [
            f"static inline int\n{name}__attach(struct {name} *skel)\n{{\n\tint ret = 0;\n",
            *calls,
            "\t(void)skel;\n\treturn ret < 0 ? ret : 0;\n}\n",
            f"static inline void\n{name}__detach(struct {name} *skel)\n{{",
            *closes,
            "\t(void)skel;\n}\n",
        ]
    )


def _destroy(contents: Contents, maps: dict[str, SkeletonMap], name: str) -> str:
    closes = [f"\tskel_closenz(skel->progs.{each.name}.prog_fd);" for each in contents.programs]
    sizes = {each: size for each, size, _, _ in _mapped(maps)}
    for each in maps:
        if each in sizes:
            place = f"skel->{each}, skel->maps.{each}.initial_value, {sizes[each]}"
            closes.append(f"\tskel_free_map_data({place});")
        closes.append(f"\tskel_closenz(skel->maps.{each}.map_fd);")
    return "\n".join(
        [
            f"static inline void\n{name}__destroy(struct {name} *skel)\n{{",
            f"\tif (!skel)\n\t\treturn;\n\t{name}__detach(skel);",
            *closes,
            "\tskel_free(skel);\n}\n",
        ]
    )


def _open(maps: dict[str, SkeletonMap], name: str) -> str:
    sections = [
        _PREPARE.format(map=each, size=size, data=byte_string(data))
        for each, size, _, data in _mapped(maps)
    ]
    failed = f"failed:\n\t{name}__destroy(skel);\n\treturn NULL;\n" if sections else ""
    return _OPEN.format(name=name, sections="".join(sections), failed=failed)


def _load(maps: dict[str, SkeletonMap], program: LoaderProgram, name: str, signature: bytes) -> str:
    sections = "".join(
        _FINALIZE.format(map=each, size=size, access=access)
        for each, size, access, _ in _mapped(maps)
    )
    data, code = byte_string(program.data), byte_string(program.code)
    signed = ""
    if signature:
        digest = sha256(program.code).digest()  # of the program that alone may use its map
        signed = _SIGNATURE.format(signature=byte_string(signature), hash=byte_string(digest))
    return _LOAD.format(name=name, data=data, code=code, signature=signed, sections=sections)
