"""Skeletons that call libbpf: a C header with an object, its maps, programs and variables.

Names and layouts are those of `bpftool gen skeleton`.
"""

from __future__ import annotations

from collections.abc import Iterator

from osmia.kernel.load.target import kernel_target
from osmia.kernel.skeletons.c_bytes import byte_string
from osmia.kernel.skeletons.c_variables import section_struct
from osmia.kernel.skeletons.names import checked_name, member_name
from osmia.named_tuples import NamedTuple
from osmia.object.model import DataKind, DataSection, ExternKind, Linkage, Object
from osmia.passes.externs import resolve_config
from osmia.passes.target import Target

_TEXT = """\
/* Written by `osmia gen skeleton`: {what}, loaded by libbpf. */
#ifndef __{guard}_SKEL_H__
#define __{guard}_SKEL_H__

#include <errno.h>
#include <stdlib.h>
#include <bpf/libbpf.h>

struct {name} {{
	struct bpf_object_skeleton *skeleton;
	struct bpf_object *obj;
{members}}};

static inline void
{name}__destroy(struct {name} *obj)
{{
	if (!obj)
		return;
	if (obj->skeleton)
		bpf_object__destroy_skeleton(obj->skeleton);
	free(obj);
}}

static inline const void *
{name}__elf_bytes(size_t *size)
{{
	static const char data[] __attribute__((__aligned__(8))) =
{elf};

	*size = sizeof(data) - 1;
	return (const void *)data;
}}

static inline int
{name}__create_skeleton(struct {name} *obj)
{{
	struct bpf_object_skeleton *s;

	s = (struct bpf_object_skeleton *)calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->sz = sizeof(*s);
	s->name = "{name}";
	s->obj = &obj->obj;
	s->data = {name}__elf_bytes(&s->data_sz);
{fill}	obj->skeleton = s;
	return 0;
{failed}}}

static inline struct {name} *
{name}__open_opts(const struct bpf_object_open_opts *opts)
{{
	struct {name} *obj;
	int err;

	obj = (struct {name} *)calloc(1, sizeof(*obj));
	if (!obj) {{
		errno = ENOMEM;
		return NULL;
	}}
	err = {name}__create_skeleton(obj);
	if (!err)
		err = bpf_object__open_skeleton(obj->skeleton, opts);
	if (err) {{
		{name}__destroy(obj);
		errno = -err;
		return NULL;
	}}
	return obj;
}}

static inline struct {name} *
{name}__open(void)
{{
	return {name}__open_opts(NULL);
}}

static inline int
{name}__load(struct {name} *obj)
{{
	return bpf_object__load_skeleton(obj->skeleton);
}}

static inline struct {name} *
{name}__open_and_load(void)
{{
	struct {name} *obj = {name}__open();
	int err;

	if (!obj)
		return NULL;
	err = {name}__load(obj);
	if (err) {{
		{name}__destroy(obj);
		errno = -err;
		return NULL;
	}}
	return obj;
}}

static inline int
{name}__attach(struct {name} *obj)
{{
	return bpf_object__attach_skeleton(obj->skeleton);
}}

static inline void
{name}__detach(struct {name} *obj)
{{
	bpf_object__detach_skeleton(obj->skeleton);
}}

#endif
"""

_FAILED = "failed:\n\tbpf_object__destroy_skeleton(s);\n\treturn -ENOMEM;\n"

_ROOM = """\
	s->{group}_skel_sz = sizeof(*s->{group}s);
	s->{group}s = (__typeof__(s->{group}s))calloc({count}, s->{group}_skel_sz);
	if (!s->{group}s)
		goto failed;
	s->{group}_cnt = {count};
"""

#: Since libbpf 1.5 maps have links, those of struct_ops.
_MAP_LINK = """\
#if LIBBPF_MAJOR_VERSION > 1 || LIBBPF_MINOR_VERSION >= 5
	s->maps[{number}].link = &obj->links.{member};
#endif
"""


def plain_skeleton(obj: Object, name: str = "", *, target: Target | None = None) -> str:
    """A C header with the object in it, that libbpf loads.

    Functions are those of bpftool's skeletons: `NAME__open`, `NAME__load`, … (`skeleton_name`
    unless told). Variables of `.kconfig` are there with the layout that libbpf gives them.

    Raises ValueError for a name that C cannot have, and as `Object.to_bytes`.
    """
    name = checked_name(obj, name)
    elf = obj.to_bytes()
    if any(each.kind is ExternKind.KCONFIG for each in obj.externs.values()):
        obj = resolve_config(obj, target or kernel_target())
    maps = _maps(obj)
    return _TEXT.format(
        what=obj.name.replace("*/", "* /"),
        guard=name.upper(),
        name=name,
        members="".join(f"\t{line}\n" for line in _members(obj, maps, name)),
        elf=byte_string(elf),
        fill="".join(_fill(obj, maps)),
        failed=_FAILED if maps or obj.programs else "",
    )


class _Map(NamedTuple):
    """A map by the name that libbpf finds it by; `section`: that of which C sees the variables."""

    name: str
    section: DataSection | None = None
    is_struct_ops: bool = False

    @property
    def member(self) -> str:
        return member_name(self.name)


def _maps(obj: Object) -> list[_Map]:
    found = [_Map(name) for name in obj.maps]
    for section in obj.data_sections.values():
        if section.kind is DataKind.STRUCT_OPS:
            found += [_Map(each.name, None, True) for each in section.variables.values()]
        elif section.contents and section.kind is not DataKind.ARENA:
            found.append(_Map(section.name, section if _is_seen(section) else None))
    return found


def _is_seen(section: DataSection) -> bool:
    """Whether C code has any variable of the section."""
    return any(each.linkage is not Linkage.STATIC for each in section.variables.values())


def _members(obj: Object, maps: list[_Map], name: str) -> Iterator[str]:
    programs = [each.name for each in obj.programs.values()]
    links = programs + [each.member for each in maps if each.is_struct_ops]
    groups = {
        "maps": [f"struct bpf_map *{each.member};" for each in maps],
        "progs": [f"struct bpf_program *{each};" for each in programs],
        "links": [f"struct bpf_link *{each};" for each in links],
    }
    for group, lines in groups.items():
        if lines:
            yield from ["struct {", *(f"\t{line}" for line in lines), f"}} {group};"]
    for each in maps:
        if each.section is not None:
            yield f"struct {name}__{each.member} {{"
            yield from (line.removeprefix("\t") for line in section_struct(obj, each.section))
            yield f"}} *{each.member};"


def _fill(obj: Object, maps: list[_Map]) -> Iterator[str]:
    """The statements that tell libbpf of the struct's parts."""
    if maps:
        yield _ROOM.format(group="map", count=len(maps))
    for number, each in enumerate(maps):
        yield f'\ts->maps[{number}].name = "{each.name}";\n'
        yield f"\ts->maps[{number}].map = &obj->maps.{each.member};\n"
        if each.section is not None:
            yield f"\ts->maps[{number}].mmaped = (void **)&obj->{each.member};\n"
        if each.is_struct_ops:
            yield _MAP_LINK.format(number=number, member=each.member)
    if obj.programs:
        yield _ROOM.format(group="prog", count=len(obj.programs))
    for number, program in enumerate(obj.programs.values()):
        yield f'\ts->progs[{number}].name = "{program.name}";\n'
        yield f"\ts->progs[{number}].prog = &obj->progs.{program.name};\n"
        yield f"\ts->progs[{number}].link = &obj->links.{program.name};\n"
