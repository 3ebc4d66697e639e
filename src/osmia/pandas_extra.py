"""pandas, which osmia works without: where it is missing, the error says which extra has it."""

from __future__ import annotations

from osmia.errors import MissingPackageError

try:
    import pandas as pandas
except ImportError as error:
    raise MissingPackageError("pandas", extra="pandas") from error
