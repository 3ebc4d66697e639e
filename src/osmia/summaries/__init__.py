"""Summaries of what programs count and send: histograms, and more, as tools print them.

>>> for key, histogram in histograms(bpf.maps["latency"]).items():
...     print(key_text(key), histogram, sep="\\n")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.on_demand import on_demand

if TYPE_CHECKING:
    from osmia.summaries.histogram import Bucket, Histogram
    from osmia.summaries.map_histograms import (
        Shape,
        histogram_shape,
        histograms,
        key_text,
        variable_histogram,
    )

__all__ = [
    "Bucket",
    "Histogram",
    "Shape",
    "histogram_shape",
    "histograms",
    "key_text",
    "variable_histogram",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".histogram": "Bucket Histogram",
            ".map_histograms": "Shape histogram_shape histograms key_text variable_histogram",
        },
    )
