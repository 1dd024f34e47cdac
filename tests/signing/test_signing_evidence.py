"""Timestamp first, status after it; whatever does not check out ends the signature."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from asn1crypto import cms
from asn1crypto import ocsp as asn1_ocsp
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.dss import DocumentSecurityStore

from foundation.keys.errors import ActivationInvalid, ActivationRequired, TokenUnavailable
from signing.errors import (
    CertificateRevoked,
    CredentialNotUsable,
    SignatureNotAccepted,
    StatusUnavailable,
    TimestampUnavailable,
)
from signing.model import Level
from signing.sign.acceptance import accept
from signing.sign.pades import Prepared
from signing.sign.token_signer import asn1
from tests import programs
from tests.signing.conftest import PIN, Desk, Person
from tests.signing.sample_pdf import sample
from tests.signing.specimen_pki import SpecimenPki


def prepared_by(desk: Desk, person: Person, level: Level = Level.B_LT) -> tuple[Prepared, bytes]:
    prepared = desk.pades.prepare(sample(), signatory=person.signatory, level=level)
    activation = desk.keys.activate(person.key.key_id, [prepared.digest], PIN, person.code(), "test")
    return prepared, activation.token


def test_status_is_asked_after_the_timestamp_and_embedded(desk: Desk) -> None:
    """The embedded OCSP response about the signer has a thisUpdate at or after the time of the timestamp."""
    prepared, activation = prepared_by(desk, desk.person())
    calls: list[str] = []
    token, ocsp = desk.pki.timestamps.token, desk.pki.status.ocsp

    def first(imprint: bytes, hash_name: str) -> bytes:
        calls.append("timestamp")
        return token(imprint, hash_name)

    def then(certificate: Any) -> bytes | None:
        calls.append("status")
        desk.clock.advance(timedelta(seconds=1))
        return ocsp(certificate)

    desk.pki.timestamps.token, desk.pki.status.ocsp = first, then  # type: ignore[method-assign]
    stamped = desk.clock.now()
    reader = PdfFileReader(BytesIO(desk.pades.sign(prepared, activation)))
    assert calls == ["timestamp", "status"]
    store = DocumentSecurityStore.read_dss(reader)
    response = asn1_ocsp.OCSPResponse.load(store.ocsps[0].get_object().data)
    single = response.basic_ocsp_response["tbs_response_data"]["responses"][0]
    assert single["this_update"].native >= stamped
    assert single["cert_status"].name == "good"
    assert len(store.crls) == 2  # of the root and of the TSA CA


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LT, Level.B_LTA])
def test_a_status_from_before_the_timestamp_is_not_taken(desk: Desk, level: Level) -> None:
    """A response that is a minute older than the timestamp could hide a revocation: no signature."""
    prepared, activation = prepared_by(desk, desk.person(), level)
    desk.pki.status.age = timedelta(minutes=1)
    with pytest.raises(StatusUnavailable):
        desk.pades.sign(prepared, activation)


def test_a_revoked_signer_gets_no_signature(desk: Desk) -> None:
    """Revoked between authorisation and signature: what was made is not handed out."""
    person = desk.person()
    prepared, activation = prepared_by(desk, person)
    desk.pki.issuing.revoked[person.signatory.certificate.serial_number] = desk.clock.now()
    with pytest.raises(CertificateRevoked):
        desk.pades.sign(prepared, activation)


def test_a_revoked_authority_ends_it_too(desk: Desk) -> None:
    """The issuing CA's own status comes from the root's CRL."""
    prepared, activation = prepared_by(desk, desk.person())
    desk.pki.root.revoked[desk.pki.issuing.certificate.serial_number] = desk.clock.now()
    with pytest.raises(CertificateRevoked):
        desk.pades.sign(prepared, activation)


def test_a_revoked_timestamp_unit_ends_it_too(desk: Desk) -> None:
    """The unit's status comes from the CRL of the TSA CA."""
    prepared, activation = prepared_by(desk, desk.person())
    desk.pki.tsa_ca.revoked[desk.pki.timestamps.unit.serial_number] = desk.clock.now()
    with pytest.raises(CertificateRevoked):
        desk.pades.sign(prepared, activation)


def test_no_status_no_signature(desk: Desk) -> None:
    """An OCSP service that does not answer means: wait. Never a signature without its status."""
    prepared, activation = prepared_by(desk, desk.person())
    desk.pki.status.ocsp = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(StatusUnavailable):
        desk.pades.sign(prepared, activation)


def test_status_by_somebody_else_does_not_count(desk: Desk) -> None:
    """A response signed by the responder of another PKI is no status."""
    prepared, activation = prepared_by(desk, desk.person())
    desk.pki.status = SpecimenPki(desk.clock).status
    desk.pades._evidence._status = desk.pki.status
    with pytest.raises(StatusUnavailable):
        desk.pades.sign(prepared, activation)


@pytest.mark.parametrize("skew", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_timestamp_of_another_time_is_not_taken(desk: Desk, skew: timedelta) -> None:
    """A timestamping clock that is minutes off gives no usable time of signing."""
    prepared, activation = prepared_by(desk, desk.person())
    desk.pki.timestamps.skew = skew
    with pytest.raises(TimestampUnavailable):
        desk.pades.sign(prepared, activation)


def test_a_timestamp_for_something_else_is_not_taken(desk: Desk) -> None:
    """The token must be over the hash of exactly this signature."""
    prepared, activation = prepared_by(desk, desk.person())
    other = desk.pki.timestamps.token(bytes(32), "sha256")
    desk.pki.timestamps.token = lambda *_: other  # type: ignore[method-assign]
    with pytest.raises(TimestampUnavailable):
        desk.pades.sign(prepared, activation)


@pytest.mark.parametrize("position", [0, 60, 200, -1])
def test_a_damaged_timestamp_is_not_taken(desk: Desk, position: int) -> None:
    """A token with one octet changed, or no token at all."""
    prepared, activation = prepared_by(desk, desk.person())
    real = desk.pki.timestamps.token

    def damaged(imprint: bytes, hash_name: str) -> bytes:
        octets = bytearray(real(imprint, hash_name))
        octets[position] ^= 1
        return bytes(octets)

    desk.pki.timestamps.token = damaged  # type: ignore[method-assign]
    with pytest.raises(TimestampUnavailable):
        desk.pades.sign(prepared, activation)


def test_an_authority_that_is_down_is_told_as_such(desk: Desk) -> None:
    """Whatever the timestamp service raises, the answer is: not now."""
    prepared, activation = prepared_by(desk, desk.person())

    def down(imprint: bytes, hash_name: str) -> bytes:
        raise TokenUnavailable

    desk.pki.timestamps.token = down  # type: ignore[method-assign]
    with pytest.raises(TimestampUnavailable):
        desk.pades.sign(prepared, activation)


def test_the_key_signs_only_what_was_authorised(desk: Desk) -> None:
    """Without activation the token refuses; an activation for one document does not sign another, nor twice."""
    person = desk.person()
    prepared, activation = prepared_by(desk, person)
    with pytest.raises(ActivationRequired):
        desk.pades.sign(prepared)
    other = desk.pades.prepare(sample(), signatory=person.signatory)
    with pytest.raises(ActivationInvalid):
        desk.pades.sign(other, activation)
    assert desk.pades.sign(prepared, activation)
    with pytest.raises(ActivationInvalid):
        desk.pades.sign(prepared, activation)


def test_an_expired_certificate_signs_nothing(desk: Desk) -> None:
    """The key is not even asked."""
    person = desk.person()
    desk.clock.advance(timedelta(days=366))
    with pytest.raises(CredentialNotUsable):
        desk.pades.prepare(sample(), signatory=person.signatory)


def test_our_own_check_sees_every_change(desk: Desk) -> None:
    """Any octet of what was signed, a wrong signer, a missing level: the check by its name, never an acceptance."""
    person, stranger = desk.person(), desk.person()
    prepared, activation = prepared_by(desk, person)
    signed = desk.pades.sign(prepared, activation)
    fine: dict[str, Any] = {
        "password": None,
        "field": prepared.placeholder.field,
        "signatory": person.signatory,
        "level": Level.B_LT,
    }
    accept(prepared.original, signed, **fine)
    with pytest.raises(SignatureNotAccepted) as refused:
        accept(prepared.original[:-2] + b"X\n", signed, **fine)
    assert refused.value.params == {"check": "SIGN-OUT-PREFIX"}
    for position in (len(prepared.original) + 5, signed.index(b"/M (D") + 12):
        altered = bytearray(signed)
        altered[position] ^= 1
        with pytest.raises(SignatureNotAccepted):
            accept(prepared.original, bytes(altered), **fine)
    for change, check in (
        ({"signatory": stranger.signatory}, "SIGN-OUT-FIELD"),
        ({"field": "another"}, "SIGN-OUT-FIELD"),
        ({"level": Level.B_LTA}, "SIGN-OUT-LEVEL"),
        ({"level": Level.B_T}, "SIGN-OUT-RANGE"),
    ):
        with pytest.raises(SignatureNotAccepted) as refused:
            accept(prepared.original, signed, **(fine | change))
        assert refused.value.params == {"check": check}


def test_the_written_cms_is_what_a_library_would_encode(desk: Desk) -> None:
    """What is spliced octet by octet re-encodes to the same with asn1crypto, and openssl names all that is in it.

    Only the parts are re-encoded: asn1crypto's effort grows exponentially with the depth: with a token, minutes.
    """
    person = desk.person()
    prepared, activation = prepared_by(desk, person)
    signed = desk.pades.sign(prepared, activation)
    contents = PdfFileReader(BytesIO(signed)).embedded_signatures[0].pkcs7_content
    message = cms.ContentInfo.load(contents)
    encoded = contents[: len(message.dump())]
    info = message["content"]["signer_infos"][0]
    attributes = cms.CMSAttributes.load(prepared.attributes)
    assert attributes.dump(force=True) == prepared.attributes
    for part in (info["sid"], info["signature_algorithm"], message["content"]["digest_algorithms"]):
        assert part.dump(force=True) in encoded
    assert info["signed_attrs"].untag().dump() == prepared.attributes
    stated = next(one for one in attributes if one["type"].native == "signing_certificate_v2")["values"][0]["certs"][0]
    certificate = asn1(person.signatory.certificate)
    assert stated["cert_hash"].native == certificate.sha256
    assert stated["issuer_serial"]["serial_number"].native == certificate.serial_number
    assert stated["issuer_serial"]["issuer"][0].chosen == certificate.issuer
    shown = programs.run("openssl", "cms", "-cmsout", "-print", "-inform", "DER", input=encoded, text=False)
    assert b"id-smime-aa-signingCertificateV2" in shown.stdout
    assert b"id-smime-aa-timeStampToken" in shown.stdout
