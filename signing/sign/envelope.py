"""What every format but PDF has in common on its way from a document to a signature of a level.

A draft says what is to be signed, and is nothing but a function of its job: what waits for its signer is made again.
An envelope is the signature with its document, and grows: timestamp, evidence, archive timestamp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

from signing.model import Signatory
from signing.parallel_signatures import Partner
from signing.sign.evidence import ValidationData

HASH = "sha256"
"""By which timestamps and archive hash indexes are made."""


@dataclass(frozen=True)
class Job:
    """A document to be signed. ``name``: the file's, which some formats write down; ``at``: the signer's word for the
    time, in whole seconds; ``hash_name``: the hash that goes with the signer's key; ``algorithm``: of its signatures,
    as an AlgorithmIdentifier, and whether it is RSA with PSS; ``beside``: the signature that is made in parallel, and
    which this one names."""

    data: bytes
    name: str
    signatory: Signatory
    hash_name: str
    at: datetime
    algorithm: bytes
    pss: bool = False
    beside: Partner | None = None

    @property
    def partner(self) -> Partner:
        """What the other one says of this one."""
        return Partner(self.signatory.certificate, self.hash_name, self.algorithm)


class Envelope(Protocol):
    """A signature with its document."""

    def timestamped(self) -> bytes:
        """What a signature timestamp is over."""
        ...

    def with_timestamp(self, token: bytes) -> Self:
        """With a signature timestamp: to B-T."""
        ...

    def with_log_proof(self, proof: bytes) -> Self:
        """With the proof that the signer's certificate stands in the issuance log."""
        ...

    def with_evidence(self, data: ValidationData) -> Self:
        """With certificates and status: to B-LT."""
        ...

    def archived(self, stamp: Callable[[bytes], bytes]) -> Self:
        """With an archive timestamp: to B-LTA. ``stamp`` gives the token over a digest by `HASH`."""
        ...

    def joined(self, other: Self) -> Self:
        """One file with both signatures, which are over the same document and below B-LTA."""
        ...

    def encode(self) -> bytes:
        """The file."""
        ...


class Draft(Protocol):
    """A document on its way to a signature."""

    def to_be_signed(self) -> bytes:
        """The octets whose signature is asked for; the same for the same job, always."""
        ...

    def signed(self, signature: bytes) -> Envelope:
        """The envelope at level B-B. ``signature``: as the key store makes it (ECDSA: DER)."""
        ...
