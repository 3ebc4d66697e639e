"""numpy, which osmia works without: where it is missing, the error says which extra has it.

from osmia.numpy_extra import numpy     # in the function that needs it: it takes 100 ms
"""

from __future__ import annotations

from osmia.errors import MissingPackageError

try:
    import numpy as numpy
except ImportError as error:
    raise MissingPackageError("numpy", extra="numpy") from error
