"""Front ends and the ELF back end: files to Objects, Objects to files."""

from osmia.formats.open import open_object

__all__ = ["open_object"]
