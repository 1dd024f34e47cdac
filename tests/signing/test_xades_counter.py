"""Counter signatures in XAdES: made, judged by xmlsec1 and by us; moved, wrapped and detached ones do not pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from signing.errors import DocumentDamaged
from signing.forms import Form
from signing.model import Level
from signing.xmldsig import COUNTERSIGNED, DS, XADES
from tests.programs import run
from tests.schemas import problems
from tests.signing.conftest import Desk
from tests.signing.formats import TEXT, judged, outcome, sealed, signed_by
from tests.signing.test_xades import DETACHED, ENVELOPED, ENVELOPING, NS, XML, rules

COUNTER = Form.named("xades", "counter")
IN_PLACE = ".//xades:UnsignedSignatureProperties/xades:CounterSignature/ds:Signature"


@pytest.mark.parametrize("level", [Level.B_B, Level.B_T, Level.B_LT])
@pytest.mark.parametrize("form", [ENVELOPING, ENVELOPED, DETACHED], ids=str)
def test_a_counter_signature(desk: Desk, form: Form, level: Level) -> None:
    """A verdict of its own kind beside the one below, which is as it was; a second one beside it, by a person."""
    outside = XML if form == DETACHED else None
    made = sealed(desk, sealed(desk, XML, form, Level.B_LT), COUNTER, level, "a.xml")
    verdict = judged(desk, made, detached=outside)
    assert [one.kind.value for one in verdict.signatures] == ["signature", "counter-signature"]
    if level is Level.B_LT:
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert [one.level for one in verdict.signatures] == ["B-LT", "B-LT"]
        again = signed_by(desk, desk.person(), made, COUNTER, Level.B_LT, "a.xml")
        verdict = judged(desk, again, detached=outside)
        assert outcome(verdict) == ("TOTAL-PASSED", None)
        assert len(verdict.signatures) == 3
        archived = desk.service.extend("test", again, detached=outside)
        assert judged(desk, archived, detached=outside).signatures[0].level == "B-LTA"


def test_xmlsec1_verifies(desk: Desk, tmp_path: Path) -> None:
    """xmlsec1 verifies both, the one inside by its place; the reference has the type of EN 319 132-1 §5.2.7.1, and the
    property valid by ETSI's schema as far as that knows its content."""
    made = sealed(desk, sealed(desk, XML, ENVELOPED, Level.B_B), COUNTER, Level.B_B, "a.xml")
    (tmp_path / "root.pem").write_bytes(desk.pki.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "issuing.pem").write_bytes(desk.pki.issuing.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "signed.xml").write_bytes(made)
    check = ["xmlsec1", "--verify", "--trusted-pem", tmp_path / "root.pem", "--untrusted-pem", tmp_path / "issuing.pem"]
    check += ["--id-attr:Id", f"{XADES}:SignedProperties", "--id-attr:Id", f"{DS}:SignatureValue"]
    inside = "//*[local-name()='CounterSignature']/*[local-name()='Signature']"
    for more in ([], ["--node-xpath", inside]):
        told = run(*check, *more, tmp_path / "signed.xml", cwd=tmp_path)
        assert "OK" in told.stdout + told.stderr
    counter = etree.fromstring(made).find(IN_PLACE, NS)
    assert counter is not None
    kinds = [one.get("Type") for one in counter.findall("ds:SignedInfo/ds:Reference", NS)]
    assert COUNTERSIGNED in kinds
    assert counter.find(".//xades:DataObjectFormat", NS) is None
    assert problems(etree.tostring(copy.deepcopy(counter)), "xmldsig-core-schema.xsd") == []


def _value(root: Any) -> None:
    value = root.find("ds:Signature/ds:SignatureValue", NS)
    value.text = ("A" if value.text[0] != "A" else "B") + value.text[1:]


def _to_the_document(root: Any) -> None:
    root.append(root.find(IN_PLACE, NS))


def _to_an_object(root: Any) -> None:
    signature = root.find("ds:Signature", NS)
    holder = etree.SubElement(signature, f"{{{DS}}}Object")
    holder.append(root.find(IN_PLACE, NS))


def _other_property(root: Any) -> None:
    counter = root.find(IN_PLACE, NS).getparent()
    counter.tag = f"{{{XADES}}}SignatureTimeStamp"


def _another_type(root: Any) -> None:
    for one in root.find(IN_PLACE, NS).iter(f"{{{DS}}}Reference"):
        if one.get("Type") == COUNTERSIGNED:
            del one.attrib["Type"]


@pytest.mark.parametrize("twist", [_value, _to_the_document, _to_an_object, _other_property, _another_type])
def test_twisted_ones_do_not_pass(desk: Desk, twist: Callable[[Any], None]) -> None:
    """Another value below, another place, another kind of reference: nothing passes."""
    made = sealed(desk, sealed(desk, XML, ENVELOPED, Level.B_LT), COUNTER, Level.B_LT, "a.xml")
    root = etree.fromstring(made)
    twist(root)
    assert outcome(judged(desk, etree.tostring(root)))[0] == "TOTAL-FAILED"


def test_one_from_another_document_does_not_pass(desk: Desk) -> None:
    """Put into another signature, with the Id that it names there: the digest is another one."""
    made, other = (etree.fromstring(sealed(desk, XML, ENVELOPED, Level.B_LT)) for _ in range(2))
    signed = etree.fromstring(sealed(desk, etree.tostring(made), COUNTER, Level.B_LT, "a.xml"))
    counter = copy.deepcopy(signed.find(IN_PLACE, NS).getparent())
    other.find(".//xades:UnsignedSignatureProperties", NS).append(counter)
    named = signed.find("ds:Signature/ds:SignatureValue", NS).get("Id")
    other.find("ds:Signature/ds:SignatureValue", NS).set("Id", named)
    assert "XML-HASH" in rules(desk, etree.tostring(other))


def test_what_has_no_place_for_it_is_refused(desk: Desk) -> None:
    """No XML, XML without a signature: refused with the cause."""
    for data in (TEXT, XML):
        with pytest.raises(DocumentDamaged):
            sealed(desk, data, COUNTER, Level.B_B)
