"""A PAdES signature from end to end: prepare, have the digest signed, complete (EN 319 142-1).

prepare   open strictly, placeholder, byte range digest, signed attributes  →  the digest to be authorised (DTBS/R)
sign      the key store signs that digest, and nothing else; the signature is verified
complete  SignedData, signature timestamp, THEN status, security store, document timestamp; then our own check
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import Clock
from foundation.errors import CamTrustError
from foundation.randomness import Randomness
from signing.errors import CredentialNotUsable, LogProofUnavailable, TimestampUnavailable
from signing.model import Level, Signatory, SignatureText
from signing.ports import LogProofs, SigningKeys, StatusSource, TimestampAuthority
from signing.sign import cms, evidence, revisions
from signing.sign.acceptance import accept
from signing.sign.intake import MIB, check_field, open_pdf, signature_fields
from signing.sign.token_signer import SigningAlgorithm, TokenSigner, sign_digests, signing_algorithm

_TIMESTAMP_HASH = "sha256"
_ROOM_FOR_STRUCTURE = 2048
_ROOM_FOR_ATTRIBUTE = 64
_ROOM_FOR_TOKEN = 4096  # the token without the certificates above its unit's; RSA-4096 throughout still fits


@dataclass(frozen=True)
class Prepared:
    """A document that waits for its signature. ``digest`` is what the signer authorises: the DTBS/R, the hash of the
    signed attributes, in which the document's own digest stands."""

    original: bytes
    password: str | None
    signatory: Signatory
    algorithm: SigningAlgorithm
    level: Level
    placeholder: revisions.Placeholder
    attributes: bytes
    digest: bytes
    log_proof: bytes | None


class PadesSigner:
    """Makes PAdES signatures. One for the process; it keeps nothing between calls."""

    def __init__(
        self,
        keys: SigningKeys,
        timestamps: TimestampAuthority,
        status: StatusSource,
        clock: Clock,
        randomness: Randomness,
        text: SignatureText | None = None,
        limit: int = 50 * MIB,
        logs: LogProofs | None = None,
    ) -> None:
        """``logs``: where the proofs come from that travel with signatures; None: they carry none."""
        self._keys = keys
        self._timestamps = timestamps
        self._status = status
        self._clock = clock
        self._randomness = randomness
        self._text = text or SignatureText()
        self._limit = limit
        self._logs = logs

    def prepare(
        self,
        data: bytes,
        *,
        signatory: Signatory,
        level: Level = Level.B_LT,
        password: str | None = None,
        field: str | None = None,
    ) -> Prepared:
        """Everything up to the digest that is to be authorised.

        ``field``: an existing empty signature field by name; without it a new one, whose name is its own.
        Raises DocumentRefused, CredentialNotUsable, KeyUnsupported, LogProofUnavailable, key store errors.
        """
        now = self._clock.now()
        certificate = signatory.certificate
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise CredentialNotUsable
        algorithm = signing_algorithm(self._keys.get(signatory.key_id), certificate)
        proof = self._log_proof(certificate)
        writer = open_pdf(data, password=password, limit=self._limit)
        empty, filled = signature_fields(writer)
        if field is not None:
            check_field(field, empty, filled)
        placeholder = revisions.place(
            writer,
            field=field or self._new_field(empty + filled),
            existing=field is not None,
            signer=TokenSigner(self._keys, signatory),
            hash_name=algorithm.hash_name,
            reserved=self._room(signatory, level) + (len(proof) + _ROOM_FOR_ATTRIBUTE if proof else 0),
            text=self._text,
            at=now,
        )
        attributes = cms.signed_attributes(placeholder.digest, certificate)
        digest = hashlib.new(algorithm.hash_name, attributes).digest()
        return Prepared(data, password, signatory, algorithm, level, placeholder, attributes, digest, proof)

    def sign(self, prepared: Prepared, activation: bytes | None = None) -> bytes:
        """Use the key and :meth:`complete`. Raises key store errors besides those of :meth:`complete`."""
        (signature,) = self.signatures([prepared], activation)
        return self.complete(prepared, signature)

    def signatures(self, prepared: Sequence[Prepared], activation: bytes | None = None) -> list[bytes]:
        """The signatures over documents of one signatory, in one call to the key store: all or none."""
        first = prepared[0]
        digests = [one.digest for one in prepared]
        return sign_digests(self._keys, first.signatory, first.algorithm, digests, activation)

    def complete(self, prepared: Prepared, signature: bytes) -> bytes:
        """The signed document; ``prepared`` is used up.

        Raises TimestampUnavailable, StatusUnavailable, CertificateRevoked, SignatureNotAccepted.
        """
        level, output = prepared.level, prepared.placeholder.output
        token = self._token(signature) if level.includes(Level.B_T) else None
        prepared.placeholder.fill(
            cms.signed_data(
                prepared.attributes,
                signature,
                prepared.signatory,
                prepared.algorithm,
                token.der if token else None,
                prepared.log_proof,
            )
        )
        if token is not None and level.includes(Level.B_LT):
            above = self._timestamps.certificates()
            data = evidence.gather(prepared.signatory, token, above, self._status, self._clock)
            revisions.add_validation_data(output, prepared.password, data)
        elif token is not None:
            evidence.check_not_revoked(prepared.signatory, token, self._status, self._clock)
        if level.includes(Level.B_LTA):
            revisions.add_document_timestamp(
                output,
                prepared.password,
                field=self._new_field(()),
                hash_name=_TIMESTAMP_HASH,
                reserved=self._token_room(),
                token=lambda digest: self._checked_token(digest).der,
            )
        signed = output.getvalue()
        accept(
            prepared.original,
            signed,
            password=prepared.password,
            field=prepared.placeholder.field,
            signatory=prepared.signatory,
            level=level,
        )
        return signed

    def _token(self, signature: bytes) -> cms.TimestampToken:
        """EN 319 122-1 §5.3: the timestamp is over the hash of the signature value."""
        return self._checked_token(hashlib.new(_TIMESTAMP_HASH, signature).digest())

    def _checked_token(self, imprint: bytes) -> cms.TimestampToken:
        try:
            der = self._timestamps.token(imprint, _TIMESTAMP_HASH)
        except CamTrustError as error:
            raise TimestampUnavailable from error
        return cms.read_token(der, imprint, _TIMESTAMP_HASH, self._clock.now())

    def _log_proof(self, certificate: x509.Certificate) -> bytes | None:
        if self._logs is None:
            return None
        try:
            return self._logs.proof(certificate)
        except CamTrustError as error:
            raise LogProofUnavailable from error

    def _new_field(self, taken: tuple[str, ...]) -> str:
        while True:
            name = f"CamTrust-{self._randomness.bytes(8).hex()}"
            if name not in taken:
                return name

    def _room(self, signatory: Signatory, level: Level) -> int:
        own = _octets((signatory.certificate, *signatory.chain))
        return _ROOM_FOR_STRUCTURE + own + (self._token_room() if level.includes(Level.B_T) else 0)

    def _token_room(self) -> int:
        return _ROOM_FOR_TOKEN + _octets(self._timestamps.certificates())


def _octets(certificates: Iterable[x509.Certificate]) -> int:
    return sum(len(one.public_bytes(Encoding.DER)) for one in certificates)
