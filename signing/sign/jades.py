"""JAdES signatures made (ETSI TS 119 182-1): compact, or JSON with what proves the time.

B-B   protected header: alg, cty, iat, x5c, x5t#S256
B-T   sigTst in the unprotected etsiU, over the text of the signature value                     §5.3.4
B-LT  xVals and rVals beside it                                                                 §5.3.5
B-LTA arcTst over payload, header, signature value and all members of etsiU before it           §5.3.6.2

Members of etsiU are written as base64url, so that an archive timestamp is over texts and no canonical form is needed.

The time is in iat: new signatures have to have it, and must not have sigT, since 2025-07-15 (V1.2.1 §5.1.11, §5.2.1).
Readers of sigT alone see none. Compact has
no unprotected header and so no place for a timestamp or a proof of the log: it is B-B, and persons sign JSON.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.base64url import encoded
from signing import jws
from signing.errors import DocumentTooLarge, FormUnknown
from signing.parallel_signatures import PARALLEL_HEADER
from signing.raw_signature import raw_ecdsa
from signing.sign.envelope import HASH, Job
from signing.sign.evidence import ValidationData

MAX_DOCUMENT = 40 * 1024 * 1024
"""Octets of a document, which goes inside, and is a third longer there."""


@dataclass(frozen=True)
class Jades:
    """A JAdES signature as it grows; ``unsigned``: the members of etsiU, as they stand there; ``others``: signatures
    over the same payload in the same file. All texts are base64url."""

    protected: str
    payload: str
    signature: str
    compact: bool
    unsigned: tuple[str, ...] = ()
    others: tuple[Jades, ...] = ()

    def timestamped(self) -> bytes:
        return self.signature.encode()

    def with_timestamp(self, token: bytes) -> Jades:
        return self._with({"sigTst": {"tstTokens": [{"val": _base64(token)}]}})

    def with_log_proof(self, proof: bytes) -> Jades:
        return self if self.compact else self._with({jws.LOG_PROOF: _base64(proof)})

    def with_evidence(self, data: ValidationData) -> Jades:
        """xVals and rVals; once an archive timestamp is there, both in tstVD, for it (§5.3.6.3)."""
        values = _values(data)
        if any("arcTst" in one for one in map(jws.member, self.unsigned)):
            return self._with({"tstVD": values})
        grown = self
        for name, value in values.items():
            grown = grown._with({name: value})
        return grown

    def archived(self, stamp: Callable[[bytes], bytes]) -> Jades:
        """With one more archive timestamp on each signature. ``stamp`` gives the token over a SHA-256 digest."""
        if self.compact:
            raise FormUnknown
        over = jws.archived_text(self.payload, self.protected, self.signature, self.unsigned)
        token = stamp(hashlib.new(HASH, over).digest())
        grown = self._with({"arcTst": {"tstTokens": [{"val": _base64(token)}]}})
        return replace(grown, others=tuple(one.archived(stamp) for one in self.others))

    def joined(self, other: Jades) -> Jades:
        if self.compact or other.payload != self.payload:
            raise FormUnknown
        return replace(self, others=(*self.others, replace(other, others=()), *other.others))

    def encode(self) -> bytes:
        if self.compact:
            return f"{self.protected}.{self.payload}.{self.signature}".encode()
        if not self.others:
            return jws.write({"payload": self.payload, **self._entry()})
        return jws.write({"payload": self.payload, "signatures": [one._entry() for one in (self, *self.others)]})

    def _entry(self) -> dict[str, Any]:
        """The signature as the serialisations in JSON have it (RFC 7515 §7.2)."""
        entry: dict[str, Any] = {"protected": self.protected, "signature": self.signature}
        if self.unsigned:
            entry["header"] = {"etsiU": list(self.unsigned)}
        return entry

    def _with(self, member: dict[str, Any]) -> Jades:
        if self.compact:
            raise FormUnknown
        return replace(self, unsigned=(*self.unsigned, encoded(jws.write(member))))


@dataclass(frozen=True)
class JadesDraft:
    """A document on its way to a JAdES signature."""

    job: Job
    compact: bool

    def to_be_signed(self) -> bytes:
        return f"{self._protected()}.{encoded(self.job.data)}".encode()

    def signed(self, signature: bytes) -> Jades:
        public_key = self.job.signatory.certificate.public_key()
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            signature = raw_ecdsa(signature, public_key)
        return Jades(self._protected(), encoded(self.job.data), encoded(signature), self.compact)

    def _protected(self) -> str:
        certificate = self.job.signatory.certificate
        carried = (certificate, *(one for one in self.job.signatory.chain if one.subject != one.issuer))
        header = {
            "alg": jws.algorithm_of(certificate.public_key(), self.job.hash_name, pss=self.job.pss),
            "cty": "application/octet-stream",
            "iat": int(self.job.at.timestamp()),
            "typ": "jose" if self.compact else "jose+json",
            "x5c": [_base64(one.public_bytes(Encoding.DER)) for one in carried],
            "x5t#S256": jws.thumbprint(certificate),
        }
        if self.job.beside is not None:
            header[PARALLEL_HEADER] = jws.thumbprint(self.job.beside.certificate)
        return encoded(jws.write(header))


def _values(data: ValidationData) -> dict[str, Any]:
    certificates = (one.public_bytes(Encoding.DER) for one in data.certificates)
    lists = {"crlVals": data.crls, "ocspVals": data.ocsps}
    status = {name: [{"val": _base64(one)} for one in items] for name, items in lists.items() if items}
    return {"xVals": [{"x509Cert": {"val": _base64(one)}} for one in certificates], "rVals": status}


def check_document(data: bytes, name: str) -> None:  # noqa: ARG001
    """DocumentTooLarge for what would not be read again."""
    if len(data) > MAX_DOCUMENT:
        raise DocumentTooLarge(limit=MAX_DOCUMENT // (1024 * 1024))


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
