"""A drawn page becomes the appearance of a signature field: a form XObject of the document (ISO 32000-2 §12.5.5)."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.sign.pdf_objects import array, dictionary, exact, name, number, stream
from signing.sign.update import Update

# What turns a page's content upright again on a page that is shown rotated, clockwise, by so many degrees.
_UPRIGHT = {0: (1, 0, 0, 1, 0, 0), 90: (0, 1, -1, 0, 0, 0), 180: (-1, 0, 0, -1, 0, 0), 270: (0, -1, 1, 0, 0, 0)}

# sRGB (IEC 61966-2-1) adapted to D50, as in its ICC profile: some programs show white of D65 as a colour.
_WHITE = (0.9642, 1, 0.8249)
_SRGB = (0.4360, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7141)  # column by column


def appearance(update: Update, drawn: bytes, rotation: int) -> Any:
    """The /AP of a field that shows the one page of ``drawn``, with the fonts that it uses."""
    reader: Any = PdfFileReader(BytesIO(drawn), strict=True)
    pages = reader.root["/Pages"]
    page = pages["/Kids"][0]
    box = [float(one) for one in (page if "/MediaBox" in page else pages)["/MediaBox"]]
    entries = {
        "/Type": name("/XObject"),
        "/Subtype": name("/Form"),
        "/BBox": array(number(one) for one in box),
        "/Matrix": array(number(one) for one in _UPRIGHT[rotation]),
        "/Resources": _with_spaces(_copied(update, page["/Resources"], {})),
        "/Filter": name("/FlateDecode"),
    }
    return dictionary({"/N": update.add(stream(zlib.compress(page["/Contents"].data, 9), entries))})


def _with_spaces(resources: Any) -> Any:
    """Device colours by sRGB's measures (ISO 32000-2 §8.6.5.6): PDF/A asks for that where its output intent does not
    say what they are (ISO 19005-2 §6.2.4.3)."""
    white, gamma = array(exact(one) for one in _WHITE), array(number(2.2) for _ in range(3))
    matrix = array(exact(one) for one in _SRGB)
    rgb = dictionary({"/WhitePoint": white, "/Gamma": gamma, "/Matrix": matrix})
    grey = dictionary({"/WhitePoint": array(exact(one) for one in _WHITE), "/Gamma": number(2.2)})
    spaces = {"/DefaultRGB": array((name("/CalRGB"), rgb)), "/DefaultGray": array((name("/CalGray"), grey))}
    resources[name("/ColorSpace")] = dictionary(spaces)
    return resources


def _copied(update: Update, value: Any, known: dict[Any, Any]) -> Any:
    """An object of another document, with all that it refers to, as new objects of this one."""
    if isinstance(value, generic.IndirectObject):
        if value.reference not in known:
            known[value.reference] = update.add(_copied(update, value.reference.get_object(), known))
        return known[value.reference]
    if isinstance(value, generic.StreamObject):
        entries = {str(key): _copied(update, value.raw_get(key), known) for key in value if key != "/Length"}
        return stream(value.encoded_data, entries)
    if isinstance(value, generic.DictionaryObject):
        return dictionary({str(key): _copied(update, value.raw_get(key), known) for key in value})
    if isinstance(value, generic.ArrayObject):
        return array(_copied(update, value.raw_get(index), known) for index in range(len(value)))
    return value
