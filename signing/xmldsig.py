"""XML signatures (W3C XML Signature 1.1): the names, algorithms and canonical forms that we make and accept."""

from __future__ import annotations

from lxml import etree

from foundation.log_proof import PROOF_ATTRIBUTE, PROOF_ATTRIBUTES
from foundation.x509.signature_check import Scheme
from signing.strict_xml import Element

DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
XADES_141 = "http://uri.etsi.org/01903/v1.4.1#"
ARCHIVE_TIMESTAMP = f"{{{XADES_141}}}ArchiveTimeStamp"
TIMESTAMP_VALIDATION_DATA = f"{{{XADES_141}}}TimeStampValidationData"
LOG = f"urn:oid:{PROOF_ATTRIBUTE}"  # the namespace of a proof of the issuance log
LOGS = tuple(f"urn:oid:{one}" for one in PROOF_ATTRIBUTES)  # where one is looked for
SIGNED_PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
COUNTERSIGNED = "http://uri.etsi.org/01903#CountersignedSignature"
OBJECT = f"{DS}Object"

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"
BASE64 = f"{DS}base64"

# RFC 9231 §2.3; XML Signature 1.1 §6.4. No HMAC: its key would be whoever's.
SIGNATURE_METHODS: dict[str, tuple[Scheme, str]] = {
    f"http://www.w3.org/2001/04/xmldsig-more#{kind}-{name}": (scheme, name)
    for kind, scheme in (("ecdsa", Scheme.ECDSA), ("rsa", Scheme.RSA_PKCS1))
    for name in ("sha256", "sha384", "sha512")
} | {
    f"http://www.w3.org/2007/05/xmldsig-more#{name}-rsa-MGF1": (Scheme.RSA_PSS, name)
    for name in ("sha256", "sha384", "sha512")
}
_CANONICAL = {
    EXCLUSIVE: (True, False),
    f"{EXCLUSIVE}WithComments": (True, True),
    INCLUSIVE: (False, False),
    f"{INCLUSIVE}#WithComments": (False, True),
}


def is_canonicalisation(algorithm: str | None) -> bool:
    """Whether a canonical form is one that we know."""
    return algorithm in _CANONICAL


def canonical(node: Element, algorithm: str, *, comments: bool = True) -> bytes:
    """The canonical form of an element, or of a whole tree. ``comments`` False: without them whatever the algorithm
    says, as references inside the document have it (XML Signature 1.1 §4.4.3.3). KeyError for an unknown algorithm."""
    exclusive, with_comments = _CANONICAL[algorithm]
    octets: bytes = etree.tostring(node, method="c14n", exclusive=exclusive, with_comments=with_comments and comments)
    return octets


def ds(name: str) -> str:
    """The name of an element of XML Signature, as lxml has it."""
    return f"{{{DS}}}{name}"


def countersigned(signature: Element) -> Element | None:
    """The signature that this one counter-signs: the one in whose unsigned properties it stands, right in a
    CounterSignature (EN 319 132-1 §5.2.7.2); None for any other."""
    place = signature
    for tag in _COUNTER_PATH:
        place = place.getparent()
        if place is None or place.tag != tag:
            return None
    return place


def own_signatures(root: Element) -> list[Element]:
    """The signatures of a document that are no counter signatures."""
    return [one for one in root.iter(ds("Signature")) if countersigned(one) is None]


def xades(name: str) -> str:
    """The name of an element of XAdES."""
    return f"{{{XADES}}}{name}"


_COUNTER_PATH = (
    xades("CounterSignature"),
    xades("UnsignedSignatureProperties"),
    xades("UnsignedProperties"),
    xades("QualifyingProperties"),
    ds("Object"),
    ds("Signature"),
)
