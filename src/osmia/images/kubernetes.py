"""Manifests for Kubernetes: an image's programs as bpfman's ClusterBpfApplication, and a DaemonSet
of Dask workers, the hosts of `osmia.fleet`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from osmia.images.building import program_type
from osmia.images.errors import ImageError
from osmia.images.image import Image
from osmia.images.references import Reference
from osmia.object.model import Program

#: bpfman's API (bpfman-operator 0.5.5 and later): its names of types, and of their fields.
_TYPES = {
    "xdp": ("XDP", "xdp"),
    "tc": ("TC", "tc"),
    "tcx": ("TCX", "tcx"),
    "fentry": ("FEntry", "fentry"),
    "fexit": ("FExit", "fexit"),
    "kprobe": ("KProbe", "kprobe"),
    "kretprobe": ("KRetProbe", "kretprobe"),
    "uprobe": ("UProbe", "uprobe"),
    "uretprobe": ("URetProbe", "uretprobe"),
    "tracepoint": ("TracePoint", "tracepoint"),
}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
#: Where a worker has its certificates and its settings.
_CERTIFICATES, _SETTINGS = "/run/secrets/osmia-fleet", "/etc/osmia"
#: What loading and attaching on a host takes (capabilities(7)): no more.
CAPABILITIES = ("BPF", "NET_ADMIN", "PERFMON")


def bpfman_application(
    image: Image,
    reference: Reference | str,
    *,
    name: str = "",
    interfaces: Sequence[str] = (),
    node_labels: Mapping[str, str] = {},
) -> dict[str, Any]:
    """A ClusterBpfApplication (bpfman.io/v1alpha1) for the programs of an image, as their sections
    attach them. Network programs go to `interfaces`, or to each node's primary one. ImageError for
    a program of a type that bpfman does not have."""
    where = Reference.parse(reference) if isinstance(reference, str) else reference
    obj = image.object()
    selector = {"interfaces": list(interfaces)} if interfaces else {"primaryNodeInterface": True}
    return {
        "apiVersion": "bpfman.io/v1alpha1",
        "kind": "ClusterBpfApplication",
        "metadata": {"name": _name(name or obj.name)},
        "spec": {
            "nodeSelector": {"matchLabels": dict(node_labels)} if node_labels else {},
            "byteCode": {"image": {"url": str(where), "imagePullPolicy": "IfNotPresent"}},
            "programs": [_program(each, selector) for each in obj.programs.values()],
        },
    }


def daemon_set(
    container: str,
    scheduler: str,
    *,
    name: str = "osmia-fleet",
    namespace: str = "default",
    node_labels: Mapping[str, str] = {},
    processes: bool = False,
    secret: str = "osmia-fleet-tls",
    settings: str = "",
    insecure: bool = False,
) -> dict[str, Any]:
    """A DaemonSet (apps/v1) that runs a Dask worker on each node, which `osmia.fleet` makes its
    agent there. `container` is an image with osmia[fleet] in it, `scheduler` Dask's address.

    Each has the node's network, its bpffs and tracefs, and the capabilities that loading and
    attaching take. With `processes` it sees the node's processes too, for uprobes by pid.

    Workers speak TLS: `secret` is the name of a Secret with ca.crt, tls.crt and tls.key (as
    cert-manager names them). ImageError for a scheduler that is not at tls://, unless it is at
    tcp:// and `insecure` says so. `settings` is the name of a ConfigMap with fleet.toml, and the
    keys that it names: what agents accept, see `osmia.fleet.settings`.
    """
    _check_scheduler(scheduler, insecure)
    labels = {"app.kubernetes.io/name": _name(name)}
    places = {"bpffs": "/sys/fs/bpf", "tracing": "/sys/kernel/tracing", "cgroup": "/sys/fs/cgroup"}
    volumes: dict[str, dict[str, Any]] = {
        each: {"hostPath": {"path": path, "type": "Directory"}} for each, path in places.items()
    }
    if not insecure:
        places["tls"] = _CERTIFICATES
        volumes["tls"] = {"secret": {"secretName": _name(secret), "defaultMode": 0o400}}
    if settings:
        places["settings"] = _SETTINGS
        volumes["settings"] = {"configMap": {"name": _name(settings)}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "hostNetwork": True,
                    "dnsPolicy": "ClusterFirstWithHostNet",
                    **({"hostPID": True} if processes else {}),
                    **({"nodeSelector": dict(node_labels)} if node_labels else {}),
                    "containers": [_worker(container, scheduler, places)],
                    "volumes": [{"name": each, **what} for each, what in volumes.items()],
                },
            },
        },
    }


def _check_scheduler(scheduler: str, insecure: bool) -> None:
    scheme = scheduler.partition("://")[0]
    if scheme == "tcp" and not insecure:
        raise ImageError(
            f"{scheduler} is plain TCP: who reaches it runs code on all nodes. Use tls://, or "
            "insecure=True (--insecure)"
        )
    if scheme != ("tcp" if insecure else "tls"):
        wanted = "tcp://, if it is to be insecure" if insecure else "tls://host:8786"
        raise ImageError(f"{scheduler[:80]!r} is no address of a scheduler: {wanted}")


def _worker(container: str, scheduler: str, places: Mapping[str, str]) -> dict[str, Any]:
    files = {"--tls-ca-file": "ca.crt", "--tls-cert": "tls.crt", "--tls-key": "tls.key"}
    tls = [
        word
        for option, name in (files.items() if "tls" in places else ())
        for word in (option, f"{_CERTIFICATES}/{name}")
    ]
    return {
        "name": "worker",
        "image": container,
        "command": ["dask", "worker", scheduler, "--nthreads", "2", "--no-nanny"],
        "args": [
            "--no-dashboard",
            "--dashboard-address",
            "127.0.0.1:0",  # some pages stay
            "--name",
            "$(NODE_NAME)",
            *tls,
        ],
        "env": [
            _of_node("NODE_NAME"),
            _of_node("OSMIA_FLEET_HOST"),
            {"name": "OSMIA_CACHE", "value": "/tmp/osmia"},
        ],
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": list(CAPABILITIES)},
        },
        "volumeMounts": [
            {
                "name": each,
                "mountPath": path,
                **({"mountPropagation": "HostToContainer"} if path.startswith("/sys") else {}),
                **({} if each == "bpffs" else {"readOnly": True}),
            }
            for each, path in places.items()
        ],
    }


def _of_node(variable: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}


def _program(program: Program, selector: Mapping[str, Any]) -> dict[str, Any]:
    kind = program_type(program)
    if kind not in _TYPES:
        has = ", ".join(_TYPES)
        raise ImageError(f"program {program.name!r} is of type {kind}; bpfman has {has}")
    said, field = _TYPES[kind]
    return {"name": program.function, "type": said, field: _details(program, kind, selector)}


def _details(program: Program, kind: str, selector: Mapping[str, Any]) -> dict[str, Any]:
    target = program.section.removeprefix("?").partition("/")[2]
    if kind == "xdp":
        return {"links": [{"interfaceSelector": dict(selector)}]}
    if kind in ("tc", "tcx"):
        direction = "Egress" if target.startswith("egress") else "Ingress"
        return {"links": [{"interfaceSelector": dict(selector), "direction": direction}]}
    if not target:
        raise ImageError(f"program {program.name!r}: its section says not where it is attached")
    if kind in ("fentry", "fexit"):
        return {"function": target, "links": [{"mode": "Attach"}]}
    if kind == "tracepoint":
        return {"links": [{"name": target}]}
    if kind in ("uprobe", "uretprobe"):
        path, _, function = target.rpartition(":")
        return {"links": [{"target": path or target, **({"function": function} if path else {})}]}
    function, _, offset = target.partition("+")
    return {"links": [{"function": function, **({"offset": int(offset, 0)} if offset else {})}]}


def _name(name: str) -> str:
    """A name that Kubernetes takes (RFC 1123)."""
    made = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")
    if not _NAME.fullmatch(made):
        raise ImageError(f"{name[:80]!r} is no name for Kubernetes: 63 letters, digits and '-'")
    return made
