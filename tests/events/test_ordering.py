"""The barrier: chosen by machine, harmless to call from anywhere."""

from __future__ import annotations

import threading

import pytest

from osmia.events.ordering import barrier_for, locked_barrier


@pytest.mark.parametrize("machine", ["aarch64", "arm64", "riscv64", "ppc64le", "something"])
def test_machines_that_reorder_get_a_real_barrier(machine: str) -> None:
    assert barrier_for(machine) is locked_barrier


@pytest.mark.parametrize("machine", ["x86_64", "i686", "s390x"])
def test_machines_with_total_store_order_need_none(machine: str) -> None:
    assert barrier_for(machine) is not locked_barrier
    barrier_for(machine)()


def test_threads_do_not_hold_each_other_up() -> None:
    def call_often() -> None:
        for _ in range(5000):
            locked_barrier()

    threads = [threading.Thread(target=call_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
