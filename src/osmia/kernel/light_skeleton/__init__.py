"""Light skeletons: a C header with an object and the BPF program that loads it, no libbpf.so."""

from osmia.kernel.light_skeleton.skeleton import light_skeleton, skeleton_name

__all__ = ["light_skeleton", "skeleton_name"]
