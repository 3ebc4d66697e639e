"""`osmia gen`: what is made of objects for those who write C."""

from __future__ import annotations

from pathlib import Path

import click

from osmia.cli.kernel_signatures import signer_of, takes_signer
from osmia.cli.options import Noun, Verb, pass_output
from osmia.cli.output import Output, note
from osmia.cli.sources import open_source, takes_target, target_of
from osmia.errors import OsmiaError
from osmia.files import write_whole


@click.group("gen", cls=Noun)
def gen_command() -> None:
    """Make files from objects."""


@gen_command.command("object", cls=Verb, json=True)
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--gc/--no-gc",
    default=None,
    help="Leave out static functions that nobody uses; or nothing.  [default: weak definitions"
    " that lost, and what only they used]",
)
@click.option("--allow-undefined", is_flag=True, help="Keep externs that no FILE defines.")
@pass_output
def link_objects(
    output: Output, target: Path, files: tuple[Path, ...], gc: bool | None, allow_undefined: bool
) -> None:
    """Link FILES (objects or C source) to one object, OUT.

    What one declares extern is what another defines, with types that agree. When that cannot
    be, all that is wrong is listed and OUT stays as it was.
    """
    from osmia.formats.libbpf import object_name
    from osmia.toolchain.objects import link_objects as link

    linked = link(
        [open_source(file) for file in files],
        gc=gc,
        allow_undefined=allow_undefined,
        name=object_name(str(target)),
    )
    write_whole(target, linked.to_bytes())
    undefined = [each.name for each in linked.externs.values() if each.kind.value == "object"]
    if output.json:
        output.document(
            {
                "file": str(target),
                "linked": [str(file) for file in files],
                "programs": list(linked.programs),
                "maps": list(linked.maps),
                "undefined": undefined,
            }
        )
    elif output.verbose:
        counts = f"{len(linked.programs)} programs, {len(linked.maps)} maps"
        note(f"{target}: {counts} of {len(files)} objects")


@gen_command.command("skeleton")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-L", "--use-loader", "light", is_flag=True, help="A light skeleton.")
@click.option("-n", "--name", default="", help="What the skeleton is called in C.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write.")
@takes_signer
@click.option(
    "--signed-for",
    type=click.Choice(["6.18", "7.3"]),
    default="6.18",
    show_default=True,
    help="Kernels since that one, which check it: up to 7.2, or from 7.3 on.",
)
@takes_target
def skeleton(
    file: Path,
    light: bool,
    name: str,
    output: Path | None,
    key: Path | None,
    cert: Path | None,
    signed_for: str,
    target: Path | None,
    target_btf: Path | None,
) -> None:
    """Write a C header that holds and loads FILE (an object or C source), with libbpf.

    A light skeleton (-L) loads it by a BPF program instead; to compile it takes libbpf's
    header bpf/skel_internal.h, to run nothing. Signed (--key, --cert) it is checked by the kernel,
    against the keyring that `skel->keyring_id` names.
    """
    from osmia.kernel.skeletons import light_skeleton, plain_skeleton
    from osmia.kernel.skeletons.loader_program import Form

    obj = open_source(file)
    signer = signer_of(key, cert)
    if signer is not None and not light:
        raise click.UsageError("what is signed is a light skeleton: -L")
    machine = target_of(target, target_btf)
    try:
        if light:
            form = Form.CHECKED if signed_for == "6.18" else Form.COVERED
            text = light_skeleton(obj, name, target=machine, signer=signer, form=form)
        else:
            text = plain_skeleton(obj, name, target=machine)
    except ValueError as error:
        if isinstance(error, OsmiaError):
            raise
        raise click.UsageError(str(error)) from None
    if output is None:
        click.echo(text, nl=False)
    else:
        write_whole(output, text.encode())
