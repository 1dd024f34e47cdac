"""A registration authority for tests, with a key of the test's own."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.approval import Approval, document
from foundation.citizen_subject import CitizenNaming


class SoftwareAuthority:
    """Implements `ekyc.ports.RegistrationAuthority`; :attr:`pins` are what the CA knows it by."""

    naming = CitizenNaming("KH", "CT", "SPECIMEN")
    issuer = "issuing"

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.pins = frozenset({hashlib.sha256(self.spki).hexdigest()})

    def sign(self, approval: Approval) -> bytes:
        return document(approval, self.spki, lambda message: self.key.sign(message, ec.ECDSA(hashes.SHA256())))
