"""`kept_value`: a property that is computed once and kept in the object, where it is then found.

As `functools.cached_property`, whose lock, which Python 3.12 dropped, takes longer than what is
computed here: two threads that ask at once may both compute. To type checkers it is the standard
library's.
"""

from __future__ import annotations

# The name that type checkers know; `typing` is dear, and this module is imported by many.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from functools import cached_property as kept_value
else:

    class kept_value:  # noqa: N801 - a decorator
        """As `functools.cached_property` of Python 3.12."""

        def __init__(self, function):
            self.func = function
            self.__doc__ = function.__doc__

        def __set_name__(self, owner, name):
            self.name = name

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            value = instance.__dict__[self.name] = self.func(instance)
            return value


__all__ = ["kept_value"]
