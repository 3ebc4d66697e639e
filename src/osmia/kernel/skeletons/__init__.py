"""Skeletons: C headers with an object in them, loaded by libbpf or (light) by a BPF program."""

from osmia.kernel.skeletons.light import light_skeleton
from osmia.kernel.skeletons.names import skeleton_name
from osmia.kernel.skeletons.plain import plain_skeleton

__all__ = ["light_skeleton", "plain_skeleton", "skeleton_name"]
