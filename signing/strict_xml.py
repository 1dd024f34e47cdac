"""XML from outside, read so that it can do nothing: no DTD, no entity, no network, bounded in size, depth and number.

A document type declaration is refused before a parser sees it: entities, default attributes and ID types hang on it.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

from lxml import etree

MAX_SIZE = 64 * 1024 * 1024
MAX_ELEMENTS = 200_000
MAX_DEPTH = 200

_DECLARATION = re.compile(rb"^\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_IDS = ("Id", "ID", "id", "{http://www.w3.org/XML/1998/namespace}id")
Element = Any  # lxml's elements have no types of their own here


class XmlRefused(ValueError):
    """Octets that are not XML, or more than XML needs to be."""


def looks_like_xml(data: bytes) -> bool:
    """Whether the first octets are those of XML in UTF-8."""
    return data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def parse(data: bytes) -> Element:
    """The root element. Raises XmlRefused: larger, deeper or more than the limits, not UTF-8, not well formed, or with
    a document type declaration."""
    if len(data) > MAX_SIZE or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise XmlRefused
    declared = _DECLARATION.match(data.removeprefix(b"\xef\xbb\xbf"))
    if declared and declared[1].upper() not in (b"UTF-8", b"US-ASCII"):
        raise XmlRefused
    try:
        data.decode("utf-8")
        root = etree.parse(BytesIO(data), _parser()).getroot()
    except (UnicodeDecodeError, etree.XMLSyntaxError, ValueError) as error:
        raise XmlRefused from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlRefused
    _bounded(root)
    return root


def has_duplicate_ids(root: Element) -> bool:
    """Whether two attributes that can be identifiers have one value: readers would differ in what they find."""
    seen: set[str] = set()
    for element in root.iter(etree.Element):
        for name in _IDS:
            value = element.get(name)
            if value is not None:
                if value in seen:
                    return True
                seen.add(value)
    return False


def _parser() -> Any:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_blank_text=False,
        strip_cdata=False,
        recover=False,
    )


def _bounded(root: Element) -> None:
    count, depth = 0, 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        count += event == "start"
        if count > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise XmlRefused
