"""Objects → images. The same objects give the same bytes, whenever and wherever it is done."""

from __future__ import annotations

import gzip
import io
import json
import os
import platform as machine
import tarfile
from collections.abc import Mapping
from typing import Any

from osmia.formats.open import read_elf
from osmia.images import media_types
from osmia.images.errors import ImageError
from osmia.images.image import (
    KERNEL_SIGNATURE,
    KERNEL_SUFFIX,
    MAPS_LABEL,
    PROGRAMS_LABEL,
    SIGNATURE,
    Image,
    digest_of,
)
from osmia.images.references import SCHEME
from osmia.named_tuples import NamedTuple
from osmia.object.model import Object, Program
from osmia.object.signatures import kept_signatures, text_beside
from osmia.object.uapi import MapType, ProgramType

#: Go's names of architectures, which images have: of what `uname -m` says, and the byte order.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "386",
    "loongarch64": "loong64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_BIG_ENDIAN = frozenset({"s390x", "ppc64", "mips", "mips64"})

#: What bpfman calls programs by the first word of their section, where the type alone is not it.
_WORDS = {
    "kprobe": "kprobe",
    "kretprobe": "kretprobe",
    "uprobe": "uprobe",
    "uretprobe": "uretprobe",
    "fentry": "fentry",
    "fexit": "fexit",
    "tcx": "tcx",
}
_PROGRAM_NAMES = {ProgramType.SCHED_CLS: "tc"}
_MAP_NAMES = {
    MapType.PERCPU_HASH: "per_cpu_hash",
    MapType.PERCPU_ARRAY: "per_cpu_array",
    MapType.LRU_PERCPU_HASH: "lru_per_cpu_hash",
    MapType.PERCPU_CGROUP_STORAGE: "per_cpu_cgroup_storage",
}

Source = Object | str | os.PathLike[str]


def build(source: Source | Mapping[str, Source], *, annotations: Mapping[str, str] = {}) -> Image:
    """The image of an object (a file's path, or an Object as it is now), or of several by
    platform, `{"linux/amd64": "a.bpf.o", "linux/arm64": "b.bpf.o"}`.

    "oci://host/name:tag" is the object that an image has for the platform; alone it stands for
    those of all the image's platforms.

    Labels say its programs and maps with their types, as bpfman has them. Signatures that
    `osmia sign` left beside a file, or that an image has, go along. `annotations` are added to the
    manifest. ImageError for a platform of the other byte order; `osmia.open`'s errors for files,
    those of `pull` for images.
    """
    if isinstance(source, str) and source.startswith(SCHEME):
        image = _pulled(source)
        parts = {each: _part_of_image(image, each) for each in image.platforms}
    elif isinstance(source, Mapping):
        parts = {platform: _part(each, platform) for platform, each in sorted(source.items())}
    else:
        platform = own_platform()
        parts = {platform: _part(source, platform)}
    if not parts:
        raise ImageError("an image of no object")
    images: dict[str, Image] = {
        platform: _build_one(each, platform, dict(annotations)) for platform, each in parts.items()
    }
    if len(images) == 1:
        return next(iter(images.values()))
    manifests = [
        {
            "mediaType": media_types.MANIFEST,
            "digest": image.digest,
            "size": len(image.blobs[image.digest]),
            "platform": _platform_record(platform),
        }
        for platform, image in images.items()
    ]
    blobs = {digest: blob for image in images.values() for digest, blob in image.blobs.items()}
    index = as_json({"schemaVersion": 2, "mediaType": media_types.INDEX, "manifests": manifests})
    digest = _add(blobs, index)
    return Image(digest, blobs)


class _Part(NamedTuple):
    """What goes into an image for a platform: the object, its file, and annotations that are of
    it: signatures."""

    obj: Object
    filename: str
    content: bytes
    annotations: dict[str, str]


def _part(source: Source, platform: str) -> _Part:
    if isinstance(source, Object):
        filename = f"{source.name}.bpf.o".replace("/", "_")
        return _Part(source, filename, source.to_bytes(), {})
    path = os.fspath(source)
    if path.startswith(SCHEME):
        return _part_of_image(_pulled(path), platform)
    with open(path, "rb") as file:  # noqa: PTH123 - half of what Path takes
        content = file.read()
    filename = os.path.basename(path)  # noqa: PTH119
    signatures = {
        SIGNATURE: kept_signatures(path),
        KERNEL_SIGNATURE: text_beside(path, KERNEL_SUFFIX, media_types.LARGEST_MANIFEST),
    }
    return _Part(read_elf(content, path, ""), filename, content, signatures)


def _part_of_image(image: Image, platform: str) -> _Part:
    filename, content = image.object_file(platform)
    has = image.annotations(platform)
    signatures = {each: has.get(each, "") for each in (SIGNATURE, KERNEL_SIGNATURE)}
    return _Part(image.object(platform), filename, content, signatures)


def _pulled(reference: str) -> Image:
    from osmia.images.registries import pull

    return pull(reference)


def _build_one(part: _Part, platform: str, annotations: dict[str, str]) -> Image:
    obj, filename, content, signatures = part
    annotations = {**annotations, **{name: each for name, each in signatures.items() if each}}
    _check_platform(obj, platform)
    blobs: dict[str, bytes] = {}
    if not filename.endswith(".o"):  # by which it is found in the layer
        filename += ".bpf.o"
    archive = _archive(filename, content)
    layer = gzip.compress(archive, mtime=0)
    labels = {name: as_json(each).decode() for name, each in labels_of(obj).items()}
    config = {
        **_platform_record(platform),
        "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(archive)]},
        "history": [{"created_by": "osmia image build"}],
    }
    config_bytes = as_json(config)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_types.MANIFEST,
        "config": _descriptor(media_types.CONFIG, blobs, config_bytes),
        "layers": [_descriptor(media_types.LAYER, blobs, layer)],
    }
    if annotations:
        manifest["annotations"] = dict(sorted(annotations.items()))
    return Image(_add(blobs, as_json(manifest)), blobs)


def labels_of(obj: Object) -> dict[str, dict[str, str]]:
    """What the labels of an object's image say: names and types of programs and maps."""
    return {
        PROGRAMS_LABEL: {each.function: program_type(each) for each in obj.programs.values()},
        MAPS_LABEL: {name: map_type(each.type) for name, each in obj.maps.items()},
    }


def program_type(program: Program) -> str:
    """What bpfman calls the type of a program."""
    word = program.section.removeprefix("?").split("/")[0].split(".")[0]
    named = _PROGRAM_NAMES.get(program.type) or program.type.name.lower()
    return _WORDS.get(word, named)


def map_type(kind: int) -> str:
    """What bpfman calls a type of maps."""
    try:
        known = MapType(kind)
    except ValueError:
        return str(int(kind))
    return _MAP_NAMES.get(known, known.name.lower())


def _archive(filename: str, content: bytes) -> bytes:
    """A tar with one file at its root, of no one and of no time."""
    entry = tarfile.TarInfo(filename)
    entry.size, entry.mode = len(content), 0o644
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def own_platform() -> str:
    """What images for this machine say: "linux/amd64"."""
    name = machine.machine()
    return f"linux/{_ARCHITECTURES.get(name, name)}"


def _platform_record(platform: str) -> dict[str, str]:
    system, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    if not system or not architecture:
        raise ImageError(f"{platform!r} is no platform: linux/amd64, linux/arm64, …")
    record = {"architecture": architecture, "os": system}
    return {**record, "variant": variant} if variant else record


def _check_platform(obj: Object, platform: str) -> None:
    architecture = _platform_record(platform)["architecture"]
    order = "big" if architecture in _BIG_ENDIAN else "little"
    if obj.byteorder != order:
        raise ImageError(
            f"{obj.path or obj.name} is {obj.byteorder}-endian, {platform} is {order}-endian: "
            "say the platform it is for"
        )


def _descriptor(media_type: str, blobs: dict[str, bytes], content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _add(blobs, content), "size": len(content)}


def _add(blobs: dict[str, bytes], content: bytes) -> str:
    digest = digest_of(content)
    blobs[digest] = content
    return digest


def as_json(value: Any) -> bytes:
    """JSON in the one way in which osmia writes it: what is the same has the same digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
