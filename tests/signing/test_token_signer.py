"""A pyHanko signer over a key handle: pyHanko's own machinery signs with keys that it never sees."""

from __future__ import annotations

import secrets
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

from foundation.keys.errors import ActivationRequired, SignatureInvalid
from foundation.keys.port import KeyAlgorithm, KeyUse
from signing.errors import KeyUnsupported
from signing.sign.token_signer import TokenSigner, sign_digests, signing_algorithm
from tests import programs
from tests.signing.conftest import Desk
from tests.signing.sample_pdf import sample


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_2048])
def test_pyhanko_signs_through_the_token(desk: Desk, tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    """PdfSigner with a handle makes a signature that pdfsig calls valid; the hash follows the key."""
    key = desk.keys.generate(f"seal-{secrets.token_hex(8)}", algorithm, KeyUse.ORGANISATION_SEAL)
    signer = TokenSigner(desk.keys, desk.pki.signatory(key, "Agency"))
    hash_name = "sha384" if algorithm is KeyAlgorithm.EC_P384 else "sha256"
    metadata = PdfSignatureMetadata(field_name="Seal", md_algorithm=hash_name)
    signed = PdfSigner(metadata, signer).sign_pdf(IncrementalPdfFileWriter(BytesIO(sample())))
    path = tmp_path / "sealed.pdf"
    path.write_bytes(signed.getvalue())
    assert "Signature is Valid" in programs.run("pdfsig", "-nocert", path).stdout


def test_a_persons_key_needs_activation(desk: Desk) -> None:
    """The signer holds a handle: without the owner's activation the token refuses."""
    person = desk.person()
    signer = TokenSigner(desk.keys, person.signatory)
    with pytest.raises(ActivationRequired):
        PdfSigner(PdfSignatureMetadata(field_name="S", md_algorithm="sha256"), signer).sign_pdf(
            IncrementalPdfFileWriter(BytesIO(sample()))
        )


def test_keys_that_do_not_sign_digests_are_refused(desk: Desk) -> None:
    """Ed25519 takes the whole message: not for PDFs yet, and said so."""
    key = desk.keys.generate(f"seal-{secrets.token_hex(8)}", KeyAlgorithm.ED25519, KeyUse.ORGANISATION_SEAL)
    with pytest.raises(KeyUnsupported):
        TokenSigner(desk.keys, desk.pki.signatory(key, "Agency"))


def test_a_signature_that_does_not_verify_is_never_used(desk: Desk) -> None:
    """A key store that answers with something else than the signature of this digest is caught at once."""
    person = desk.person()
    other = desk.keys.generate(f"seal-{secrets.token_hex(8)}", KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)

    class Wrong:
        def sign_wrapped(self, _: bytes, mechanism: object, inputs: object, **__: object) -> object:
            return desk.keys.sign_many(other.key_id, mechanism, inputs)

    class Short:
        def sign_wrapped(self, *_: object, **__: object) -> list[bytes]:
            return []

    algorithm = signing_algorithm(person.key, person.signatory.certificate)
    for keys in (Wrong(), Short()):
        with pytest.raises(SignatureInvalid):
            sign_digests(keys, person.signatory, algorithm, [bytes(32)])
