"""The logical data structure of a chip: its files, and what is read of them (ICAO 9303-10 §4).

Only the machine-readable zone of DG1 and the security information of DG14 and DG15 are looked into; the others are held
as they came. EF.COM is not covered by the signature: it is read to be compared, never to be believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ekyc import mrz
from ekyc.chip.der import Fields, Malformed, single
from ekyc.errors import EkycError

COM, SOD = "EF.COM", "EF.SOD"
MAX_FILE = 512 * 1024  # octets
MAX_SMALL_FILE = 64 * 1024

# ICAO 9303-10 §4.7: the tag of each data group's file
TAGS: Mapping[int, int] = {
    1: 0x61,
    2: 0x75,
    3: 0x63,
    4: 0x76,
    5: 0x65,
    6: 0x66,
    7: 0x67,
    8: 0x68,
    9: 0x69,
    10: 0x6A,
    11: 0x6B,
    12: 0x6C,
    13: 0x6D,
    14: 0x6E,
    15: 0x6F,
    16: 0x70,
}
_NUMBERS: Mapping[str, int] = {f"DG{number}": number for number in TAGS}
_COM_TAG, _LDS_VERSION, _UNICODE_VERSION, _TAG_LIST, _MRZ_TAG = 0x60, 0x5F01, 0x5F36, 0x5C, 0x5F1F
_LAYOUTS: Mapping[int, tuple[int, int]] = {90: (3, 30), 72: (2, 36), 88: (2, 44)}


@dataclass(frozen=True)
class ChipFiles:
    """The files of one chip. ``strangers``: how many have a name that no data group has."""

    com: bytes | None
    sod: bytes
    groups: Mapping[int, bytes]
    strangers: int


def read_files(files: Mapping[str, bytes]) -> ChipFiles:
    """Sort files by name (EF.COM, EF.SOD, DG1 to DG16) and check size and tag of each. Raises Malformed."""
    if len(files) > len(TAGS) + 8:
        raise Malformed("too many files")
    if SOD not in files or "DG1" not in files:
        raise Malformed("EF.SOD or DG1 is missing")
    if len(files[SOD]) > MAX_SMALL_FILE or len(files.get(COM, b"")) > MAX_SMALL_FILE:
        raise Malformed("size")
    groups: dict[int, bytes] = {}
    for name, data in files.items():
        number = _NUMBERS.get(name)
        if len(data) > MAX_FILE:
            raise Malformed("size")
        if number is not None:
            try:
                single(data, TAGS[number], strict=False)
            except Malformed as error:
                raise Malformed(name) from error
            groups[number] = data
    strangers = len(files) - len(groups) - (COM in files) - 1
    return ChipFiles(files.get(COM), files[SOD], groups, strangers)


def read_com(data: bytes) -> frozenset[int]:
    """The data groups that EF.COM announces (ICAO 9303-10 §4.6.1). Raises Malformed."""
    fields = Fields(single(data, _COM_TAG, strict=False).content, strict=False)
    fields.next(_LDS_VERSION)
    fields.next(_UNICODE_VERSION)
    listed = fields.next(_TAG_LIST).content
    fields.end()
    by_tag = {tag: number for number, tag in TAGS.items()}
    if any(tag not in by_tag for tag in listed):
        raise Malformed("tag list")
    return frozenset(by_tag[tag] for tag in listed)


def read_mrz(dg1: bytes, reference: date) -> mrz.Mrz:
    """The machine-readable zone in DG1 (ICAO 9303-10 §4.7.1), with all its check digits. Raises Malformed.

    ``reference`` is the day that decides centuries (see :func:`ekyc.mrz.read`).
    """
    fields = Fields(single(dg1, TAGS[1], strict=False).content, strict=False)
    zone = fields.next(_MRZ_TAG).content
    fields.end()
    layout = _LAYOUTS.get(len(zone))
    if layout is None or not zone.isascii():
        raise Malformed("machine-readable zone")
    height, width = layout
    text = zone.decode("ascii")
    try:
        return mrz.read([text[line * width : (line + 1) * width] for line in range(height)], reference)
    except EkycError as error:
        raise Malformed(error.code.removeprefix("ekyc.")) from error
