"""What the reader of XML signatures takes, piece by piece: algorithms, base64, and what lies outside a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from signing import strict_xml
from signing.asic_container import strict_base64
from signing.strict_xml import Element
from signing.verify.model import Reason, SubIndication, failed, indeterminate
from signing.verify.signature import DigestOf
from signing.verify.signature_value import unsupported
from signing.xmldsig import BASE64, ENVELOPED, countersigned, ds, is_canonicalisation


class XmlMalformed(ValueError):
    """``reason`` is why a signature does not count."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.rule)
        self.reason = reason


@dataclass(frozen=True)
class Referenced:
    """What a reference is about: its digest by a hash's name, and its octets, where nodes are put into the canonical
    form of this name (an archive timestamp is over them once more)."""

    digest: DigestOf
    octets: Callable[[str], Iterable[bytes]]


Outside = Callable[[str], Referenced | None]
"""What a signature is about outside its file, by its name; None where there is no such thing."""


def plain(octets: bytes) -> Referenced:
    """Octets that are what they are in every canonical form."""
    return Referenced(partial(_digest, octets), lambda _: (octets,))


def beside(files: Mapping[str, bytes]) -> Outside:
    """The files that lie beside, by their names."""
    return lambda name: plain(files[name]) if name in files else None


def _digest(octets: bytes, name: str) -> bytes:
    return hashlib.new(name, octets).digest()


def refuse(rule: str, clause: str = "XML Signature 1.1 §4") -> XmlMalformed:
    return XmlMalformed(failed(rule, clause, "verify_format_failure", SubIndication.FORMAT_FAILURE))


def not_supported(rule: str) -> XmlMalformed:
    return XmlMalformed(unsupported(rule))


def document_problem(root: Element) -> Reason | None:
    """X1, X2 for the document as a whole."""
    if strict_xml.has_duplicate_ids(root):
        return refuse("XML-ID", "XML Signature 1.1 §4.4.3.2").reason
    for signature in root.iter(ds("Signature")):
        parent = signature.getparent()
        if (
            countersigned(signature) is None
            and parent is not None
            and (parent is not root or root.tag == ds("Signature"))
        ):
            return refuse("XML-POSITION", "camtrust contract").reason
    return None


def no_properties() -> Reason:
    sub = SubIndication.SIG_CONSTRAINTS_FAILURE
    return indeterminate("XML-PROPERTIES", "EN 319 132-1 §5.2.2", "verify_no_certificate_attribute", sub)


def elements(parent: Element) -> list[Element]:
    return [one for one in parent if isinstance(one.tag, str)]


def plain_algorithm(element: Element, *, transform: bool = False) -> str:
    """X4: an algorithm without parameters, of those that we know."""
    algorithm = element.get("Algorithm")
    if len(element) or not (is_canonicalisation(algorithm) or (transform and algorithm in (ENVELOPED, BASE64))):
        raise not_supported("XML-TRANSFORM")
    return str(algorithm)


def known(algorithm: str) -> str:
    if not is_canonicalisation(algorithm):
        raise not_supported("XML-TRANSFORM")
    return algorithm


def base64_octets(text: str | None) -> bytes:
    try:
        return strict_base64(text)
    except ValueError:
        raise refuse("XML-FORM") from None
