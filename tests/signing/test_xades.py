"""XAdES: made in every packaging, judged by xmlsec1, signxml and by us; wrapped and twisted ones do not pass."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from foundation.keys.port import KeyAlgorithm
from signing.errors import DocumentDamaged, DocumentTooLarge
from signing.forms import Form
from signing.model import Level
from signing.xmldsig import DS, XADES
from tests.programs import run
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed, signed_by

ENVELOPING, ENVELOPED, DETACHED = (Form.named("xades", one) for one in ("enveloping", "enveloped", "detached"))
XML = (
    '<?xml version="1.0"?>\n<c:contract xmlns:c="urn:x" n="1"><!-- a --><c:sum>100</c:sum>កិច្ច<b/> tail</c:contract>'
).encode()
NS = {"ds": DS, "xades": XADES, "c": "urn:x"}


def rules(desk: Desk, made: bytes, detached: bytes | None = None) -> set[str]:
    verdict = judged(desk, made, detached=detached)
    reasons = (*verdict.reasons, *(one for signature in verdict.signatures for one in signature.reasons))
    return {one.rule for one in reasons if one.sub_indication}


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("form", [ENVELOPING, ENVELOPED, DETACHED], ids=str)
def test_every_level(desk: Desk, form: Form, level: Level) -> None:
    """From B-LT on they pass with the root alone."""
    made = sealed(desk, XML, form, level)
    verdict = judged(desk, made, detached=XML if form == DETACHED else None)
    assert verdict.format == "XAdES"
    if level.includes(Level.B_LT):
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert verdict.signatures[0].level == level.value
    else:
        unknown = {"REV-UNKNOWN"} if level is Level.B_B else {"REV-UNKNOWN", "PATH-NO-ISSUER"}
        assert {one.rule for one in verdict.signatures[0].reasons if one.sub_indication} == unknown


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072])
@pytest.mark.parametrize("form", [ENVELOPING, ENVELOPED, DETACHED], ids=str)
def test_xmlsec1_verifies(desk: Desk, tmp_path: Path, form: Form, algorithm: KeyAlgorithm) -> None:
    """xmlsec1 verifies every reference and the value under our root, and refuses a changed one."""
    made = sealed(desk, XML, form, Level.B_LT, "contract.xml", algorithm)
    (tmp_path / "root.pem").write_bytes(desk.pki.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "issuing.pem").write_bytes(desk.pki.issuing.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "contract.xml").write_bytes(XML)
    (tmp_path / "signed.xml").write_bytes(made)
    check = ["xmlsec1", "--verify", "--trusted-pem", tmp_path / "root.pem", "--untrusted-pem", tmp_path / "issuing.pem"]
    check += ["--id-attr:Id", f"{XADES}:SignedProperties", "--id-attr:Id", f"{DS}:Object"]
    told = run(*check, tmp_path / "signed.xml", cwd=tmp_path)
    assert "Verification status: OK" in told.stdout + told.stderr or "OK" in (told.stdout + told.stderr).splitlines()
    if form == ENVELOPED:
        (tmp_path / "signed.xml").write_bytes(made.replace(b"100", b"900"))
    elif form == DETACHED:
        (tmp_path / "contract.xml").write_bytes(XML + b" ")
    else:
        (tmp_path / "signed.xml").write_bytes(
            made.replace(base64.b64encode(XML)[:40], base64.b64encode(XML)[:39] + b"0")
        )
    with pytest.raises(AssertionError):
        run(*check, tmp_path / "signed.xml", cwd=tmp_path)


def test_signxml_verifies(desk: Desk) -> None:
    """signxml's XAdES verifier accepts the enveloped form, signed properties and certificate reference included."""
    from signxml.xades import XAdESSignatureConfiguration, XAdESVerifier

    made = sealed(desk, XML, ENVELOPED, Level.B_B)
    root = desk.pki.root.certificate.public_bytes(Encoding.PEM).decode()
    certificates = [desk.pki.issuing.certificate.public_bytes(Encoding.PEM).decode(), root]
    assert certificates
    results = XAdESVerifier().verify(
        etree.fromstring(made),
        x509_cert=_signer_pem(made),
        expect_config=XAdESSignatureConfiguration(require_x509=True, expect_references=2),
    )
    assert any(one.signed_xml is not None and one.signed_xml.tag == "{urn:x}contract" for one in results)


def _signer_pem(made: bytes) -> str:
    text = etree.fromstring(made).findtext(f".//{{{DS}}}X509Certificate")
    body = "\n".join(re.findall(".{1,64}", text or ""))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def test_a_person_signs_at_the_service(desk: Desk) -> None:
    """Upload, PIN and code, download."""
    made = signed_by(desk, desk.person(), XML, ENVELOPED, None)
    assert outcome(judged(desk, made)) == ("TOTAL-PASSED", None)
    assert etree.fromstring(made).findtext("{urn:x}sum") == "100"


def test_what_cannot_be_signed_is_refused(desk: Desk) -> None:
    """Enveloped: no XML, a document type, two identifiers alike, a signature already. Enveloping: too large."""
    doctype = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    signed = sealed(desk, XML, ENVELOPED, Level.B_B)
    for data in (TEXT, doctype, b'<a><b Id="x"/><c ID="x"/></a>', b"<a>" * 300, signed):
        with pytest.raises(DocumentDamaged):
            sealed(desk, data, ENVELOPED, Level.B_B)
    with pytest.raises(DocumentTooLarge):
        sealed(desk, bytes(6 * 1024 * 1024), ENVELOPING, Level.B_B)


def _twisted(made: bytes, twist: Callable[[Any], Any]) -> bytes:
    root = etree.fromstring(made)
    changed = twist(root)
    return etree.tostring(root if changed is None else changed)


def _first(root: Any, path: str) -> Any:
    found = root.find(path, NS)
    assert found is not None
    return found


def _set(path: str, name: str, value: str) -> Callable[[Any], Any]:
    def twist(root: Any) -> None:
        _first(root, path).set(name, value)

    return twist


def _text(path: str, text: str) -> Callable[[Any], Any]:
    def twist(root: Any) -> None:
        _first(root, path).text = text

    return twist


def _wrapped_in_another_document(root: Any) -> Any:
    """The classic: the signed document moves below a forged one, and the signature beside it."""
    forged = etree.fromstring(b'<c:contract xmlns:c="urn:x"><c:sum>900</c:sum></c:contract>')
    signature = _first(root, "ds:Signature")
    holder = etree.SubElement(forged, "holder")
    root.remove(signature)
    holder.append(root)
    forged.append(signature)
    return forged


def _reference_by_id(root: Any) -> Any:
    """The reference to the whole document becomes one to an element by its Id."""
    root.set("Id", "doc")
    _first(root, ".//ds:Reference[@URI='']").set("URI", "#doc")


def _second_properties(root: Any) -> None:
    """Other signed properties, under the same Id, before those that were signed."""
    qualifying = _first(root, ".//xades:QualifyingProperties")
    other = copy.deepcopy(_first(qualifying, "xades:SignedProperties"))
    _first(other, ".//xades:SigningTime").text = "2001-01-01T00:00:00Z"
    qualifying.insert(0, other)


def _second_properties_elsewhere(root: Any) -> None:
    """Other signed properties in an object of their own."""
    signature = _first(root, "ds:Signature")
    holder = etree.SubElement(signature, f"{{{DS}}}Object")
    other = copy.deepcopy(_first(root, ".//xades:QualifyingProperties"))
    _first(other, "xades:SignedProperties").set("Id", "other")
    holder.append(other)


def _more(path: str, element: str) -> Callable[[Any], Any]:
    def twist(root: Any) -> None:
        _first(root, path).append(etree.fromstring(element))

    return twist


def _deeper(root: Any) -> None:
    _first(root, "c:sum").append(_first(root, "ds:Signature"))


def _nested(root: Any) -> None:
    signature = _first(root, "ds:Signature")
    inner = copy.deepcopy(signature)
    for one in inner.iter():
        if one.get("Id"):
            one.set("Id", one.get("Id") + "x")
    etree.SubElement(signature, f"{{{DS}}}Object").append(inner)


XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
METHOD, TRANSFORM = ".//ds:SignatureMethod", ".//ds:Reference[@URI='']//ds:Transform[2]"
ATTACKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "changed content": (_text("c:sum", "900"), "XML-HASH"),
    "changed attribute": (_set(".", "n", "2"), "XML-HASH"),
    "added element": (_more(".", "<more/>"), "XML-HASH"),
    "changed signing time": (_text(".//xades:SigningTime", "2001-01-01T00:00:00Z"), "XML-HASH"),
    "wrapped in another document": (_wrapped_in_another_document, "XML-HASH"),
    "a reference by Id": (_reference_by_id, "XML-REFERENCE"),
    "an external reference": (_set(".//ds:Reference[@URI='']", "URI", "file:///etc/hostname"), "XML-TRANSFORM"),
    "two elements with one Id": (_more(".", '<a Id="x"><b ID="x"/></a>'), "XML-ID"),
    "other properties of the same Id": (_second_properties, "XML-ID"),
    "other properties elsewhere": (_second_properties_elsewhere, "XML-PROPERTIES"),
    "an object that nobody signed": (
        _more("ds:Signature", f'<ds:Object xmlns:ds="{DS}">more</ds:Object>'),
        "XML-UNCOVERED",
    ),
    "a signature deeper in the document": (_deeper, "XML-POSITION"),
    "a signature in the signature": (_nested, "XML-POSITION"),
    "an XPath transform": (_set(TRANSFORM, "Algorithm", XPATH), "XML-TRANSFORM"),
    "an XSLT transform": (_set(TRANSFORM, "Algorithm", XSLT), "XML-TRANSFORM"),
    "HMAC with the public key": (
        _set(METHOD, "Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        "XML-ALGORITHM",
    ),
    "SHA-1": (_set(METHOD, "Algorithm", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"), "XML-ALGORITHM"),
    "RSA for an EC key": (
        _set(METHOD, "Algorithm", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"),
        "XML-SIGNATURE",
    ),
    "SHA-1 digests": (_set(".//ds:Reference/ds:DigestMethod", "Algorithm", f"{DS}sha1"), "XML-DIGEST-ALGORITHM"),
    "another target": (_set(".//xades:QualifyingProperties", "Target", "#other"), "XML-PROPERTIES"),
    "a manifest": (_set(".//ds:Reference[2]", "Type", f"{DS}Manifest"), "XML-REFERENCE"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_on_an_enveloped_signature(desk: Desk, attack: str) -> None:
    """Wrapping, substitution and padding: the rule speaks, and nothing passes."""
    twist, rule = ATTACKS[attack]
    made = _twisted(sealed(desk, XML, ENVELOPED, Level.B_LT), twist)
    assert rule in rules(desk, made)
    assert outcome(judged(desk, made))[0] != "TOTAL-PASSED"


def test_another_certificate_does_not_become_the_signer(desk: Desk) -> None:
    """KeyInfo with somebody else's certificate, and a key value that would verify: the properties name the signer."""
    made = sealed(desk, XML, ENVELOPED, Level.B_LT)
    other = sealed(desk, XML, ENVELOPED, Level.B_LT)
    certificate = etree.fromstring(other).findtext(f".//{{{DS}}}X509Certificate")
    swapped = _twisted(made, _text(".//ds:X509Certificate", certificate or ""))
    assert rules(desk, swapped) == {"XML-CERTIFICATE"}
    assert outcome(judged(desk, swapped)) == ("INDETERMINATE", "NO_SIGNING_CERTIFICATE_FOUND")


def test_an_enveloping_signature_inside_something_else_fails(desk: Desk) -> None:
    """A signed object, and around it a document that nobody signed."""
    made = sealed(desk, XML, ENVELOPING, Level.B_LT)
    around = etree.fromstring(b"<forged>900</forged>")
    around.append(etree.fromstring(made))
    assert rules(desk, etree.tostring(around)) == {"XML-UNCOVERED"}


def test_timestamps_of_another_signature_do_not_count(desk: Desk) -> None:
    """A timestamp from elsewhere leaves the time unproven."""
    made, other = (sealed(desk, data, ENVELOPED, Level.B_LT) for data in (XML, b"<other/>"))
    stamp = etree.fromstring(other).findtext(f".//{{{XADES}}}EncapsulatedTimeStamp")
    assert rules(desk, _twisted(made, _text(".//xades:EncapsulatedTimeStamp", stamp or ""))) >= {"TST-IMPRINT"}


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><a xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:Signature>&b;</ds:Signature></a>',
        b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>',
        b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#">',
        b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#">' + b"<a>" * 100_000,
    ],
    ids=["document type", "empty", "cut off", "deep"],
)
def test_broken_ones_fail(desk: Desk, data: bytes) -> None:
    """What claims to be a signature and cannot be read is TOTAL-FAILED."""
    assert outcome(judged(desk, data)) == ("TOTAL-FAILED", "FORMAT_FAILURE")


def test_xml_without_a_signature_is_unsigned(desk: Desk) -> None:
    """Also when it speaks of signatures."""
    for data in (XML, b'<a xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>'):
        assert outcome(judged(desk, data)) == ("INDETERMINATE", "NO_SIGNATURE")
