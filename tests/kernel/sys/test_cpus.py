"""osmia.kernel.sys.cpus: which CPUs there are."""

from __future__ import annotations

import os

from osmia.kernel.sys.cpus import cpus_in, online_cpus, possible_cpus


def test_cpu_lists_are_read_as_the_kernel_writes_them() -> None:
    assert cpus_in("0\n") == [0]
    assert cpus_in("0-3,8,10-11\n") == [0, 1, 2, 3, 8, 10, 11]


def test_the_online_cpus_are_some_of_the_possible_ones() -> None:
    online = online_cpus()
    assert len(online) == os.cpu_count()
    assert max(online) < possible_cpus()
