"""The error of a wrong command line: click's, which is imported when there is one."""

from __future__ import annotations


def usage_error(message: str) -> Exception:
    """A `click.UsageError`, to be raised."""
    import click

    return click.UsageError(message)
