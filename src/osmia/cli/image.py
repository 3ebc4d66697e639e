"""`osmia image`: objects as OCI images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, note, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from osmia.images import Image, Reference


@click.group("image", cls=Noun)
def image_command() -> None:
    """Objects as OCI images: for registries, containers and bpfman.

    Where an image is asked for, a layout will do: a directory, or a .tar of one. Commands that
    take an object take the name of an image, too: oci://HOST/NAME:TAG.
    """


_HTTP = click.option(
    "--plain-http/--tls",
    default=None,
    help="Speak HTTP, or HTTPS, to the registry.  [default: HTTP to loopback, HTTPS elsewhere]",
)
_PLATFORM = click.option(
    "--platform", metavar="OS/ARCH", help="Of several platforms, that one.  [default: this one]"
)


@image_command.command("build", cls=Verb, json=True)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("-t", "--tag", "name", metavar="NAME", help="How it is called: host/name:tag.")
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path),
    help="The layout: a directory, or a .tar.  [default: the object's name with .oci.tar]",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH=FILE",
    help="The object of a platform: linux/arm64=x.bpf.o. Once for each, without FILE.",
)
@click.option(
    "--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="For the manifest."
)
@pass_output
def build_image(
    output: Output,
    file: Path | None,
    name: str | None,
    path: Path | None,
    platforms: tuple[str, ...],
    annotations: tuple[str, ...],
) -> None:
    """Write FILE (an object, C source, or oci://HOST/NAME:TAG) as an OCI image.

    It has the layer and the labels that bpfman wants (io.ebpf.programs, io.ebpf.maps), and the
    signatures that `osmia sign` left beside FILE. The same object gives the same image. Of an
    image's object oci://… is that of the platform, alone those of all that the image has.
    """
    from osmia.images import Reference, build

    if (file is None) == (not platforms):
        raise click.UsageError("what goes into it is FILE, or one --platform OS/ARCH=FILE or more")
    if name is not None:
        Reference.parse(name)
    notes = dict(_pair(each, "--annotation KEY=VALUE") for each in annotations)
    if file is not None:
        image = build(_source(file), annotations=notes)
        stem = _stem(file)
    else:
        pairs = [_pair(each, "--platform OS/ARCH=FILE") for each in platforms]
        image = build({key: _source(Path(value)) for key, value in pairs}, annotations=notes)
        stem = _stem(Path(pairs[0][1]))
    path = path or Path(f"{stem}.oci.tar")
    image.save(path, name or "latest")
    if output.json:
        output.document({"digest": image.digest, "layout": str(path), "name": name})
    else:
        output.line(printable(f"{path}: {image.digest}"))


@image_command.command("push", cls=Verb, json=True)
@click.argument("layout", type=click.Path(path_type=Path, exists=True))
@click.argument("reference", required=False)
@click.option("--image", "name", metavar="NAME", help="Which one of the layout's images.")
@_HTTP
@pass_output
def push_image(
    output: Output, layout: Path, reference: str | None, name: str | None, plain_http: bool | None
) -> None:
    """Push the image in LAYOUT to a registry, as REFERENCE.  [default: as it is called there]

    Credentials are docker's, of `docker login`.
    """
    from osmia.images import Reference, push, read
    from osmia.images.layouts import names

    if reference is None:
        called = names(layout)
        if len(called) != 1 and name is None:
            raise click.UsageError(f"{layout} has {len(called)} images: say --image or REFERENCE")
        reference = name or called[0]
    image = read(layout, name)
    where = Reference.parse(reference)
    pushed = push(image, where, plain_http=plain_http, progress=_progress(output, "sent"))
    _say_where(output, pushed, image)


@image_command.command("pull", cls=Verb, json=True)
@click.argument("reference")
@click.option(
    "-o", "--output", "path", type=click.Path(path_type=Path), help="Write a layout: .tar or not."
)
@click.option("--object", "file", type=click.Path(path_type=Path), help="Write the object.")
@click.option("--offline", is_flag=True, help="Ask no registry: what the cache has.")
@_PLATFORM
@_HTTP
@pass_output
def pull_image(
    output: Output,
    reference: str,
    path: Path | None,
    file: Path | None,
    offline: bool,
    platform: str | None,
    plain_http: bool | None,
) -> None:
    """Pull an image into the cache, every byte checked against its digest.

    osmia's commands and osmia.open then find it there: oci://REFERENCE.
    """
    from osmia.files import write_whole
    from osmia.images import Reference, pull

    where = Reference.parse(reference)
    image = pull(
        where, plain_http=plain_http, offline=offline, progress=_progress(output, "received")
    )
    if path is not None:
        image.save(path, str(where) if where.tag else "latest")
    if file is not None:
        write_whole(file, image.object_file(platform)[1])
    found = Reference(where.host, where.repository, where.tag, image.digest)
    _say_where(output, found, image)


@image_command.command("inspect", cls=Verb, json=True)
@click.argument("image")
@click.option("--image", "name", metavar="NAME", help="Which one of the layout's images.")
@_PLATFORM
@_HTTP
@pass_output
def inspect_image(
    output: Output, image: str, name: str | None, platform: str | None, plain_http: bool | None
) -> None:
    """Show what IMAGE (a reference or a layout) says of itself: programs, maps, platforms."""
    found = _image(image, name, plain_http)
    described = _described(found, platform)
    if output.json:
        output.document(described)
        return
    output.line(printable(found.digest), "bold")
    output.fields({key: _text(value) for key, value in described.items() if key != "digest"})


@image_command.command("verify", cls=Verb, json=True)
@click.argument("image")
@click.option("--image", "name", metavar="NAME", help="Which one of the layout's images.")
@click.option(
    "--key", type=click.Path(path_type=Path, exists=True), help="A public key that signed it."
)
@_HTTP
@pass_output
def verify_image(
    output: Output, image: str, name: str | None, key: Path | None, plain_http: bool | None
) -> int:
    """Check IMAGE (a reference or a layout): digests, labels, the object, a signature.

    The status is 1 where something is wrong: digests that do not fit, labels that say other
    programs or maps than the object has, an object that osmia cannot read, or one that was not
    signed by KEY.
    """
    from osmia.images.checking import faults

    found = _image(image, name, plain_http)
    wrong = faults(found, key)
    if output.json:
        output.document({"digest": found.digest, "faults": wrong})
    else:
        for each in wrong:
            output.line(printable(f"{image}: {each}"))
        if not wrong:
            signed = ", signed by the key" if key is not None else ""
            output.line(printable(f"{image}: {found.digest} is right{signed}"))
    return int(bool(wrong))


@image_command.command("manifest", cls=Verb, json=True)
@click.argument("image")
@click.option(
    "--kind",
    type=click.Choice(["bpfman", "daemonset"]),
    default="bpfman",
    show_default=True,
    help="A ClusterBpfApplication for bpfman, or a DaemonSet of a fleet's workers.",
)
@click.option("--name", default="", help="Its name.  [default: the object's, or osmia-fleet]")
@click.option("-i", "--iface", "interfaces", multiple=True, help="Interfaces of network programs.")
@click.option("--scheduler", metavar="ADDRESS", help="Of a DaemonSet: Dask's, tls://host:8786.")
@click.option(
    "--secret",
    default="osmia-fleet-tls",
    show_default=True,
    metavar="NAME",
    help="Of a DaemonSet: the Secret with ca.crt, tls.crt and tls.key.",
)
@click.option("--insecure", is_flag=True, help="Of a DaemonSet: plain tcp://.")
@click.option("--settings", default="", metavar="NAME", help="Of one: a ConfigMap with fleet.toml.")
@click.option("--namespace", default="default", show_default=True, help="Of a DaemonSet.")
@click.option("--node-label", "labels", multiple=True, metavar="KEY=VALUE", help="Only such nodes.")
@_HTTP
@pass_output
def write_manifest(
    output: Output,
    image: str,
    kind: str,
    name: str,
    interfaces: tuple[str, ...],
    scheduler: str | None,
    secret: str,
    insecure: bool,
    settings: str,
    namespace: str,
    labels: tuple[str, ...],
    plain_http: bool | None,
) -> None:
    """Print a manifest for Kubernetes, as YAML, or with -j as JSON.

    IMAGE is the reference of a BPF image in a registry (--kind bpfman), or of a container image
    with osmia[fleet] in it (--kind daemonset).
    """
    from osmia.images import pull
    from osmia.images.kubernetes import bpfman_application, daemon_set

    nodes = dict(_pair(each, "--node-label KEY=VALUE") for each in labels)
    if kind == "daemonset":
        if scheduler is None:
            raise click.UsageError("--kind daemonset wants --scheduler")
        made = daemon_set(
            image,
            scheduler,
            name=name or "osmia-fleet",
            namespace=namespace,
            node_labels=nodes,
            secret=secret,
            settings=settings,
            insecure=insecure,
        )
    else:
        found = pull(image, plain_http=plain_http)
        made = bpfman_application(found, image, name=name, interfaces=interfaces, node_labels=nodes)
    if output.json:
        output.document(made)
        return
    import json

    import yaml

    apart = json.loads(json.dumps(made))  # what is in it twice is written twice, not as &id001
    output.line(yaml.safe_dump(apart, sort_keys=False).rstrip())


def _image(image: str, name: str | None, plain_http: bool | None) -> Image:
    """A layout where there is a file or directory of that name, otherwise a registry's."""
    from osmia.images import ImageError, Reference, pull, read

    if Path(image).exists():
        return read(image, name)
    try:
        reference = Reference.parse(image)
    except ImageError as error:
        raise ImageError(f"there is no layout {image!r}, and {error}") from None
    return pull(reference, plain_http=plain_http)


def _source(file: Path) -> Any:
    from osmia.cli.sources import image_reference, is_source, open_source

    if reference := image_reference(file):
        return reference
    return open_source(file) if is_source(file) else file


def _stem(file: Path) -> str:
    """What a file or image is called, without a tag, a digest or a suffix."""
    return re.split("[.:@]", file.name)[0]


def _pair(text: str, form: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key or not value:
        raise click.UsageError(f"{text!r} is not {form}")
    return key, value


def _described(image: Image, platform: str | None) -> dict[str, Any]:
    from osmia.images.image import KERNEL_SIGNATURE, MAPS_LABEL, PROGRAMS_LABEL, SIGNATURE
    from osmia.images.opening import signatures_of
    from osmia.object.signatures import signers

    file, content = image.object_file(platform)
    return {
        "digest": image.digest,
        "platforms": list(image.platforms),
        "object": file,
        "size": len(content),
        "programs": image.programs(platform),
        "maps": image.maps(platform),
        "signed_by": signers(signatures_of(image, platform)),
        "signed_for_the_kernel": KERNEL_SIGNATURE in image.annotations(platform),
        "annotations": _others(image.annotations(platform), SIGNATURE, KERNEL_SIGNATURE),
        "labels": _others(image.labels(platform), PROGRAMS_LABEL, MAPS_LABEL),
    }


def _others(texts: dict[str, str], *shown: str) -> dict[str, str]:
    return {key: text for key, text in texts.items() if key not in shown}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return printable(", ".join(f"{key} ({kind})" for key, kind in value.items())) or "-"
    if isinstance(value, list):
        return printable(", ".join(map(str, value))) or "-"
    return ("yes" if value else "no") if isinstance(value, bool) else printable(str(value))


def _say_where(output: Output, where: Reference, image: Image) -> None:
    if output.json:
        output.document({"reference": str(where), "digest": image.digest})
    else:
        output.line(printable(str(where)))


def _progress(output: Output, what: str) -> Callable[[int, int], None] | None:
    """Say how far it is, with --verbose."""
    if not output.verbose:
        return None

    def tell(moved: int, whole: int) -> None:
        of = f" of {whole:,}" if whole else ""
        note(f"{what} {moved:,}{of} bytes")

    return tell
