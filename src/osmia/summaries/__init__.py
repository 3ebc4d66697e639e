"""Summaries of what programs count and send: histograms, tops, rates; and names for numbers.

>>> for key, histogram in histograms(bpf.maps["latency"]).items():
...     print(key_text(key), histogram, sep="\\n")
"""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.summaries.histogram import Bucket, Histogram
    from osmia.summaries.keys import key_text
    from osmia.summaries.map_histograms import (
        Shape,
        histogram_shape,
        histograms,
        variable_histogram,
    )
    from osmia.summaries.names import (
        cgroup_path,
        device_name,
        errno_name,
        group_name,
        interface_name,
        name_of,
        signal_name,
        syscall_name,
        user_name,
    )
    from osmia.summaries.rates import Rate, Rates, sparkline
    from osmia.summaries.readings import Sample, samples
    from osmia.summaries.top import Top

__all__ = [
    "Bucket",
    "Histogram",
    "Rate",
    "Rates",
    "Sample",
    "Shape",
    "Top",
    "cgroup_path",
    "device_name",
    "errno_name",
    "group_name",
    "histogram_shape",
    "histograms",
    "interface_name",
    "key_text",
    "name_of",
    "samples",
    "signal_name",
    "sparkline",
    "syscall_name",
    "user_name",
    "variable_histogram",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".histogram": "Bucket Histogram",
            ".keys": "key_text",
            ".map_histograms": "Shape histogram_shape variable_histogram histograms",
            ".names": (
                "cgroup_path device_name errno_name group_name interface_name name_of signal_name"
                " syscall_name user_name"
            ),
            ".rates": "Rate Rates sparkline",
            ".readings": "Sample samples",
            ".top": "Top",
        },
    )
