"""Archive timestamps of XAdES (EN 319 132-1 §5.5.2): where they stand, and what they are over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from signing.strict_xml import Element
from signing.verify.signature import DigestOf
from signing.verify.xades_form import Referenced, base64_octets, plain_algorithm, refuse
from signing.xmldsig import ARCHIVE_TIMESTAMP, INCLUSIVE, TIMESTAMP_VALIDATION_DATA, canonical, ds, xades

_EVIDENCE = {xades("CertificateValues"), xades("RevocationValues"), TIMESTAMP_VALIDATION_DATA}
_MAX_ARCHIVE = 20


@dataclass(frozen=True)
class Archived:
    """An archive timestamp: its place among the unsigned signature properties, and what it has to be over."""

    place: int
    token: bytes
    digest_of: DigestOf


def read_archive(
    properties: Sequence[Element], digest: Callable[[str, int | None, str], bytes]
) -> tuple[Archived, ...]:
    """The archive timestamps, the oldest first. ``digest``: over what one has to be, by canonical form, place and hash.

    One that lists what it is over (the explicit mechanism) has an imprint of no token. Raises XmlMalformed.
    """
    found: list[Archived] = []
    for place, element in enumerate(properties):
        if element.tag != ARCHIVE_TIMESTAMP:
            continue
        tokens = list(element.iter(xades("EncapsulatedTimeStamp")))
        if len(tokens) != 1:
            raise refuse("XML-FORM")
        if len(found) >= _MAX_ARCHIVE:
            raise refuse("XML-LIMIT")
        method, listed = element.find(ds("CanonicalizationMethod")), element.find(xades("Include"))
        algorithm = plain_algorithm(method) if method is not None else INCLUSIVE
        digest_of = partial(digest, algorithm, place) if listed is None else lambda _: b""
        found.append(Archived(place, base64_octets(tokens[0].text), digest_of))
    return tuple(found)


def archived(referenced: Iterable[Referenced], own: Iterable[Element], algorithm: str, name: str) -> bytes:
    """What an archive timestamp is over (§5.5.2.2), hashed: everything that is referenced, then parts of the signature
    in their order, in one canonical form."""
    state = hashlib.new(name)
    for one in referenced:
        for chunk in one.octets(algorithm):
            state.update(chunk)
    for element in own:
        state.update(canonical(element, algorithm))
    return state.digest()


def covering(archive: Sequence[Archived], place: int) -> frozenset[int]:
    """The archive timestamps that stand behind a place, by their number."""
    return frozenset(number for number, one in enumerate(archive) if one.place > place)


def evidence_behind(properties: Sequence[Element], last: Archived) -> bool:
    """Whether certificates or status stand behind an archive timestamp, which does not cover them."""
    return any(one.tag in _EVIDENCE for one in properties[last.place :])
