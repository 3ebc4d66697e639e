"""Manifests: a DaemonSet that Kubernetes' own schema takes, and what bpfman's API documents."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import osmia
from osmia import images
from osmia.fleet.settings import PLACE
from osmia.images import ImageError
from osmia.images.kubernetes import bpfman_application, daemon_set
from osmia.toolchain import compile as compile_source

REFERENCE = "registry.example/net/limit:1"
HEADERS = '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nchar L[] SEC("license") = "GPL";\n'
SECTIONS = {
    "xdp": {"type": "XDP", "xdp": {"links": [{"interfaceSelector": {"interfaces": ["eth0"]}}]}},
    "tc": {
        "type": "TC",
        "tc": {"links": [{"interfaceSelector": {"interfaces": ["eth0"]}, "direction": "Ingress"}]},
    },
    "tcx/egress": {
        "type": "TCX",
        "tcx": {"links": [{"interfaceSelector": {"interfaces": ["eth0"]}, "direction": "Egress"}]},
    },
    "kprobe/do_unlinkat": {"type": "KProbe", "kprobe": {"links": [{"function": "do_unlinkat"}]}},
    "kprobe/do_unlinkat+8": {
        "type": "KProbe",
        "kprobe": {"links": [{"function": "do_unlinkat", "offset": 8}]},
    },
    "kretprobe/do_unlinkat": {
        "type": "KRetProbe",
        "kretprobe": {"links": [{"function": "do_unlinkat"}]},
    },
    "uprobe//usr/lib/libc.so.6:malloc": {
        "type": "UProbe",
        "uprobe": {"links": [{"target": "/usr/lib/libc.so.6", "function": "malloc"}]},
    },
    "tp/sched/sched_switch": {
        "type": "TracePoint",
        "tracepoint": {"links": [{"name": "sched/sched_switch"}]},
    },
    "fentry/do_unlinkat": {
        "type": "FEntry",
        "fentry": {"function": "do_unlinkat", "links": [{"mode": "Attach"}]},
    },
    "fexit/do_unlinkat": {
        "type": "FExit",
        "fexit": {"function": "do_unlinkat", "links": [{"mode": "Attach"}]},
    },
}


def _compiled(*sections: str) -> osmia.Object:
    text = HEADERS + "".join(
        f'SEC("{section}") int program_{number}(void *ctx) {{ return 0; }}\n'
        for number, section in enumerate(sections)
    )
    return osmia.open(compile_source(text).data, name="Traced_things")


def test_programs_are_as_bpfman_s_api_has_them() -> None:
    image = images.build(_compiled(*SECTIONS))
    made = bpfman_application(image, REFERENCE, interfaces=["eth0"], node_labels={"a": "b"})
    assert (made["apiVersion"], made["kind"]) == ("bpfman.io/v1alpha1", "ClusterBpfApplication")
    assert made["metadata"] == {"name": "traced-things"}
    assert sorted(made["spec"]) == ["byteCode", "nodeSelector", "programs"]
    assert made["spec"]["nodeSelector"] == {"matchLabels": {"a": "b"}}
    assert made["spec"]["byteCode"] == {
        "image": {"url": REFERENCE, "imagePullPolicy": "IfNotPresent"}
    }
    found = {each.pop("name"): each for each in made["spec"]["programs"]}
    assert found == {f"program_{n}": each for n, each in enumerate(SECTIONS.values())}


def test_without_interfaces_the_node_s_primary_one_is_meant() -> None:
    made = bpfman_application(images.build(_compiled("xdp")), REFERENCE)
    (program,) = made["spec"]["programs"]
    assert program["xdp"]["links"] == [{"interfaceSelector": {"primaryNodeInterface": True}}]
    assert made["spec"]["nodeSelector"] == {}


@pytest.mark.parametrize(
    ("section", "said"),
    [("cgroup_skb/egress", "is of type cgroup_skb"), ("kprobe", "says not where it is attached")],
)
def test_what_bpfman_cannot_do_is_said(section: str, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        bpfman_application(images.build(_compiled(section)), REFERENCE)


@pytest.mark.parametrize("processes", [False, True])
def test_the_daemon_set_is_one_to_kubernetes(processes: bool) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    made = daemon_set(
        "registry.example/osmia-fleet:1",
        "tls://scheduler:8786",
        node_labels={"kubernetes.io/os": "linux"},
        processes=processes,
        settings="fleet-settings" if processes else "",
    )
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(made, version, strict=True)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["BPF", "NET_ADMIN", "PERFMON"],
    }
    assert container["securityContext"]["privileged"] is False
    broken = {**made, "spec": {**made["spec"], "selector": 7}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


def test_a_name_that_kubernetes_refuses_is_refused() -> None:
    with pytest.raises(ImageError, match="is no name for Kubernetes"):
        daemon_set("x", "tls://s:1", name="___")


def _container(made: dict[str, Any]) -> Any:
    (container,) = made["spec"]["template"]["spec"]["containers"]
    return container


def test_workers_have_certificates_from_a_secret() -> None:
    made = daemon_set("x", "tls://s:1", secret="team")
    container = _container(made)
    place = "/run/secrets/osmia-fleet"
    given = dict(itertools.pairwise(container["args"]))
    assert {option: given[option] for option in ("--tls-ca-file", "--tls-cert", "--tls-key")} == {
        "--tls-ca-file": f"{place}/ca.crt",
        "--tls-cert": f"{place}/tls.crt",
        "--tls-key": f"{place}/tls.key",
    }
    volumes = made["spec"]["template"]["spec"]["volumes"]
    assert {"name": "tls", "secret": {"secretName": "team", "defaultMode": 0o400}} in volumes
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert mounts["tls"] == {"name": "tls", "mountPath": place, "readOnly": True}
    assert {name for name, each in mounts.items() if "readOnly" not in each} == {"bpffs"}
    assert "settings" not in mounts


def test_what_agents_accept_is_a_config_map() -> None:
    made = daemon_set("x", "tls://s:1", settings="fleet-settings")
    volumes = made["spec"]["template"]["spec"]["volumes"]
    assert {"name": "settings", "configMap": {"name": "fleet-settings"}} in volumes
    mounts = {each["name"]: each["mountPath"] for each in _container(made)["volumeMounts"]}
    assert mounts["settings"] == str(PLACE.parent)


def test_plain_tcp_is_asked_for() -> None:
    with pytest.raises(ImageError, match="tcp://s:1 is plain TCP: who reaches it runs code"):
        daemon_set("x", "tcp://s:1")
    made = daemon_set("x", "tcp://s:1", insecure=True)
    assert not [each for each in _container(made)["args"] if "tls" in each]
    assert "secret" not in str(made)
    with pytest.raises(ImageError, match="is no address of a scheduler: tls://"):
        daemon_set("x", "s:1")
    with pytest.raises(ImageError, match="is no address of a scheduler: tcp://, if it is to be"):
        daemon_set("x", "tls://s:1", insecure=True)
