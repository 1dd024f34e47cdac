"""The archive level of XAdES: what the timestamp is over by the text of the standard, schemas, what does not hold."""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import Any

import pytest
from asn1crypto import cms, tsp
from lxml import etree

from signing.forms import Form
from signing.model import Level
from signing.xmldsig import DS, XADES, XADES_141
from tests.schemas import problems
from tests.signing.conftest import Desk
from tests.signing.formats import judged, outcome, sealed
from tests.signing.test_xades import DETACHED, ENVELOPED, ENVELOPING, NS, XML

NAMES = {**NS, "xades141": XADES_141}
FORMS = [ENVELOPING, ENVELOPED, DETACHED]


def _exclusive(node: Any) -> bytes:
    octets: bytes = etree.tostring(node, method="c14n", exclusive=True, with_comments=True)
    return octets


def _imprint(token: bytes) -> bytes:
    content = cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"]
    imprint: bytes = tsp.TSTInfo.load(bytes(content))["message_imprint"]["hashed_message"].native
    return imprint


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_archive_timestamp_is_over_what_the_standard_says(desk: Desk, form: Form) -> None:
    """EN 319 132-1 §5.5.2.2 step by step: the references in their order (the document, then the signed properties),
    SignedInfo, SignatureValue, KeyInfo, the unsigned properties before it, the objects but that of the properties."""
    made = sealed(desk, XML, form, Level.B_LTA)
    root = etree.fromstring(made)
    signature = root if root.tag == f"{{{DS}}}Signature" else root.find(".//ds:Signature", NAMES)
    assert signature is not None
    properties = signature.find(".//xades:UnsignedSignatureProperties", NAMES)
    assert properties is not None
    *before, last = list(properties)
    assert last.tag == f"{{{XADES_141}}}ArchiveTimeStamp"
    document = {ENVELOPING: lambda: XML, DETACHED: lambda: XML, ENVELOPED: lambda: _enveloped(made)}[form]()
    over = [document, _exclusive(signature.find(".//xades:SignedProperties", NAMES))]
    over += [_exclusive(signature.find(f"ds:{name}", NAMES)) for name in ("SignedInfo", "SignatureValue", "KeyInfo")]
    over += [_exclusive(one) for one in before]
    objects = [
        one for one in signature.findall("ds:Object", NAMES) if one.find(f"{{{XADES}}}QualifyingProperties") is None
    ]
    assert len(objects) == (1 if form == ENVELOPING else 0)
    over += [_exclusive(one) for one in objects]
    token = base64.b64decode(last.findtext("xades:EncapsulatedTimeStamp", "", NAMES))
    assert _imprint(token) == hashlib.sha256(b"".join(over)).digest()


def _enveloped(made: bytes) -> bytes:
    """The document without its signature, in the canonical form that its reference names: without comments."""
    root = etree.fromstring(made)
    signature = root.find("ds:Signature", NAMES)
    assert signature is not None
    root.remove(signature)
    octets: bytes = etree.tostring(root.getroottree(), method="c14n", exclusive=True, with_comments=False)
    return octets


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_schemas_hold(desk: Desk, form: Form) -> None:
    """The unsigned properties are valid by ETSI's schemas, those of version 1.4.1 among them, and renewed too. (The
    schemas at hand are older than SigningCertificateV2, so the signed ones are not asked.)"""
    made = sealed(desk, XML, form, Level.B_LTA)
    renewed = desk.service.extend("test", made, detached=XML if form == DETACHED else None)
    for octets in (made, renewed):
        root = etree.fromstring(octets)
        unsigned = root.find(".//xades:UnsignedProperties", NAMES)
        assert problems(etree.tostring(copy.deepcopy(unsigned)), "XAdESv141.xsd") == []
        newer = [one for one in root.iter() if isinstance(one.tag, str) and one.tag.startswith(f"{{{XADES_141}}}")]
        assert len(newer) == (1 if octets is made else 3)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_was_changed_before_it_does_not_hold(desk: Desk, form: Form) -> None:
    """Evidence taken out, and the timestamp of another signature: nothing is proved."""
    outside = XML if form == DETACHED else None
    made, other = (etree.fromstring(sealed(desk, XML, form, Level.B_LTA)) for _ in range(2))
    token = "//xades141:ArchiveTimeStamp/xades:EncapsulatedTimeStamp"
    exchanged = copy.deepcopy(made)
    exchanged.find(f".{token}", NAMES).text = other.findtext(f".{token}", "", NAMES)
    without = copy.deepcopy(made)
    values = without.find(".//xades:RevocationValues", NAMES)
    values.getparent().remove(values)
    for changed in (exchanged, without):
        assert outcome(judged(desk, etree.tostring(changed), detached=outside))[0] != "TOTAL-PASSED"


def test_evidence_behind_the_last_one_is_not_archived(desk: Desk) -> None:
    """Values behind the last archive timestamp take the level back to B-LT, not the verdict."""
    root = etree.fromstring(sealed(desk, XML, ENVELOPED, Level.B_LTA))
    properties = root.find(".//xades:UnsignedSignatureProperties", NAMES)
    properties.append(copy.deepcopy(properties.find("xades:CertificateValues", NAMES)))
    verdict = judged(desk, etree.tostring(root))
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert verdict.signatures[0].level == "B-LT"
