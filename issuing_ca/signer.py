"""Signing with a key of the token: one round trip, one verification here (the token has verified already)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

from foundation.keys.handles import mechanism_for, public_key
from foundation.keys.port import MOST_INPUTS, KeyInfo, KeyStore, Mechanism
from foundation.x509.algorithms import algorithm_identifier, signature_hash, verify
from foundation.x509.errors import SignatureWrong


@dataclass(frozen=True)
class Signer:
    """A certifying key behind its handle, with everything about it that does not change."""

    key_id: str
    public_key: CertificateIssuerPublicKeyTypes
    mechanism: Mechanism
    algorithm: bytes  # AlgorithmIdentifier of its signatures, DER
    store: KeyStore

    @classmethod
    def of(cls, store: KeyStore, info: KeyInfo) -> Signer:
        """The signer of a key, with the algorithm that X.509 pairs with it."""
        public = public_key(info)
        mechanism = mechanism_for(info, signature_hash(public), False)
        return cls(info.key_id, public, mechanism, algorithm_identifier(public), store)

    def sign(self, message: bytes, content: bytes | None = None) -> bytes:
        """Sign a whole message. Raises the key store's errors, and SignatureWrong for one that does not verify.

        ``content``: what a timestamp's signed attributes are over.
        """
        signature = self.store.sign(self.key_id, self.mechanism, message, content=content)
        verify(self.public_key, signature, message)
        return signature

    def sign_each(self, messages: Sequence[bytes]) -> list[bytes | SignatureWrong]:
        """A signature for each of 1 to MOST_INPUTS messages, in one round trip; SignatureWrong in the place of one that
        does not verify. Raises the key store's errors, and SignatureWrong where they are not as many as messages.
        """
        if len(messages) == 1:
            made = [self.store.sign(self.key_id, self.mechanism, messages[0])]
        else:
            made = self.store.sign_many(self.key_id, self.mechanism, messages)
        if len(made) != len(messages):
            raise SignatureWrong
        return [self._verified(*pair) for pair in zip(messages, made, strict=True)]

    def _verified(self, message: bytes, signature: bytes) -> bytes | SignatureWrong:
        try:
            verify(self.public_key, signature, message)
        except SignatureWrong as error:
            return error
        return signature

    def sign_many(self, messages: Sequence[bytes], contents: Sequence[bytes] | None = None) -> list[bytes]:
        """The same for several messages in one round trip: a signature for each, in order, or none."""
        signatures: list[bytes] = []
        for start in range(0, len(messages), MOST_INPUTS):
            some = messages[start : start + MOST_INPUTS]
            over = contents[start : start + MOST_INPUTS] if contents is not None else None
            made = self.store.sign_many(self.key_id, self.mechanism, some, contents=over)
            if len(made) != len(some):
                raise SignatureWrong
            for message, signature in zip(some, made, strict=True):
                verify(self.public_key, signature, message)
            signatures += made
        return signatures
