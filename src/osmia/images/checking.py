"""What is wrong with an image that can be read: labels that say something else than its object."""

from __future__ import annotations

import os

from osmia.errors import NotSignedError, OsmiaError
from osmia.images.building import labels_of
from osmia.images.errors import ImageError
from osmia.images.image import MAPS_LABEL, PROGRAMS_LABEL, Image
from osmia.images.opening import signatures_of
from osmia.object.signatures import PublicKey, verify


def faults(image: Image, key: PublicKey | os.PathLike[str] | None = None) -> list[str]:
    """One sentence for each fault, on every platform of the image; none for an image that is
    right, and whose objects were signed by `key`, if there is one."""
    found: list[str] = []
    for platform in image.platforms:
        try:
            obj = image.object(platform)
            said = {
                PROGRAMS_LABEL: image.programs(platform),
                MAPS_LABEL: image.maps(platform),
            }
            has = labels_of(obj)
            for label, names in said.items():
                if names != has[label]:
                    found.append(_difference(platform, label, names, has[label]))
            if key is not None:
                verify(obj, key, signatures_of(image, platform))
        except (ImageError, NotSignedError) as error:
            found.append(f"{platform}: {error}")
        except OsmiaError as error:
            found.append(f"{platform}: its object cannot be read: {error}")
    return found


def _difference(platform: str, label: str, said: dict[str, str], has: dict[str, str]) -> str:
    names = sorted(name for name in said.keys() | has.keys() if said.get(name) != has.get(name))
    first = names[0]
    return (
        f"{platform}: the label {label} says {first}: {said.get(first, 'nothing')}, "
        f"the object has {has.get(first, 'nothing')}"
    )
