"""RSA seals with PSS or PKCS#1 v1.5, as the client's policy says: each judged by another program and by us."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate
from joserfc import jws as jose
from joserfc.jwk import import_key

from foundation.keys.port import KeyAlgorithm, KeyUse
from signing import jws
from signing.cms_parts import CmsParts
from signing.errors import SealPolicyInvalid
from signing.forms import PADES, Form
from signing.model import Level
from signing.seal_policy import SealPolicy, read_policy
from signing.xmldsig import DS, XADES
from tests.programs import run
from tests.signing.conftest import Desk
from tests.signing.formats import AGENCY, TEXT, judged, outcome
from tests.signing.sample_pdf import sample

ATTACHED, XML, JSON = Form.named("cades", "attached"), Form.named("xades", "enveloping"), Form.named("jades", "json")


def sealed(desk: Desk, form: Form, pss: bool, algorithm: KeyAlgorithm = KeyAlgorithm.RSA_3072) -> bytes:
    info = desk.keys.generate(f"seal-{os.urandom(8).hex()}", algorithm, KeyUse.ORGANISATION_SEAL)
    who = desk.pki.signatory(info, "Agency")
    made = desk.service.register_credential("system:test", AGENCY.id, info.key_id, who.certificate, who.chain)
    policy = SealPolicy(levels=tuple(one.value for one in Level), rsa_pss=pss)
    desk.service.seal_policies.set("system:test", AGENCY.id, policy, desk.clock.now())
    data = sample() if form == PADES else TEXT
    return desk.service.seal(AGENCY, made.credential_id, data, name="text.txt", form=form, level=Level.B_LT)


@pytest.mark.parametrize("pss", [False, True])
def test_every_format_is_judged_elsewhere_too(desk: Desk, tmp_path: Path, pss: bool) -> None:
    """pdfsig, openssl, xmlsec1 and joserfc accept both paddings; the padding is the one of the policy."""
    made = {form: sealed(desk, form, pss) for form in (PADES, ATTACHED, XML, JSON)}
    for octets in made.values():
        assert outcome(judged(desk, octets)) == ("TOTAL-PASSED", None)
    root, issuing = tmp_path / "root.pem", tmp_path / "issuing.pem"
    root.write_bytes(desk.pki.root.certificate.public_bytes(Encoding.PEM))
    issuing.write_bytes(desk.pki.issuing.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "sealed.pdf").write_bytes(made[PADES])
    assert "Signature is Valid" in run("pdfsig", "-nocert", tmp_path / "sealed.pdf").stdout
    (tmp_path / "sealed.p7m").write_bytes(made[ATTACHED])
    check = ["openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile", root]
    run(*check, "-in", tmp_path / "sealed.p7m", "-out", tmp_path / "out")
    identified = CmsParts.parse(made[ATTACHED]).signer[4]
    assert (bytes.fromhex("2a864886f70d01010a") in identified) is pss
    (tmp_path / "sealed.xml").write_bytes(made[XML])
    ids = ["--id-attr:Id", f"{XADES}:SignedProperties", "--id-attr:Id", f"{DS}:Object"]
    if pss:  # xmlsec1 of Debian 12 does not know RSA-PSS, which came with 1.3
        assert b"2007/05/xmldsig-more#sha256-rsa-MGF1" in made[XML]
    else:
        run("xmlsec1", "--verify", "--trusted-pem", root, "--untrusted-pem", issuing, *ids, tmp_path / "sealed.xml")
    header = json.loads(jws.decode(json.loads(made[JSON])["protected"]))
    assert header["alg"] == ("PS256" if pss else "RS256")
    key = load_der_x509_certificate(base64.b64decode(header["x5c"][0])).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    registry = jose.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    registry.max_header_length = 100_000
    assert jose.deserialize_json(json.loads(made[JSON]), import_key(pem, "RSA"), registry=registry).payload == TEXT


def test_the_policy_says_nothing_to_other_keys(desk: Desk) -> None:
    """A curve stays a curve; what is no yes or no is no policy."""
    made = sealed(desk, ATTACHED, True, KeyAlgorithm.EC_P256)
    assert outcome(judged(desk, made)) == ("TOTAL-PASSED", None)
    with pytest.raises(SealPolicyInvalid):
        read_policy({"rsa_pss": "yes"})
