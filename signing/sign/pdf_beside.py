"""The signature beside the one of a PDF: a CMS message of its own over the same byte range (decision 0028)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from foundation.x509 import der
from signing.cms_parts import SIGNATURE_TIMESTAMP, build
from signing.model import Signatory
from signing.sign.cades import LOG_PROOF, issuer_and_serial
from signing.sign.token_signer import SigningAlgorithm


@dataclass(frozen=True)
class Beside:
    """The signature that is made in parallel over the same byte range (`signing.parallel_signatures`)."""

    signatory: Signatory
    algorithm: SigningAlgorithm
    attributes: bytes
    digest: bytes
    log_proof: bytes | None

    def message(self, signature: bytes, token: bytes | None) -> bytes:
        """It as a message of its own, which travels inside the first one."""
        certificate = self.signatory.certificate
        carried = (certificate, *(one for one in self.signatory.chain if one.subject != one.issuer))
        parts = build(
            self.attributes,
            signature,
            self.algorithm.hash_name,
            self.algorithm.identifier(certificate),
            issuer_and_serial(certificate),
            None,
            [one.public_bytes(Encoding.DER) for one in carried],
        )
        if token is not None:
            parts = parts.with_unsigned(SIGNATURE_TIMESTAMP, token)
        if self.log_proof is not None:
            parts = parts.with_unsigned(LOG_PROOF, der.octet_string(self.log_proof))
        return parts.encode()
