"""A CMS SignedData, taken apart into its DER elements, signer by signer, and put together again (RFC 5652 §5).

What is signed or timestamped stays octet for octet as it was: elements are moved, never decoded and encoded anew. Here
stands also what an archive timestamp of the third kind is over (EN 319 122-1 §5.5.2, §5.5.3): signing makes it, and
verification makes it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from foundation.x509 import der

DATA = der.oid("1.2.840.113549.1.7.1")
SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
COUNTER_SIGNATURE = der.oid("1.2.840.113549.1.9.6")
SIGNATURE_TIMESTAMP = der.oid("1.2.840.113549.1.9.16.2.14")
ARCHIVE_TIMESTAMP_V3 = der.oid("0.4.0.1733.2.4")
HASH_INDEX_V3 = der.oid("0.4.0.19122.1.5")
_OCSP_RESPONSE = der.oid("1.3.6.1.5.5.7.16.2")  # id-ri-ocsp-response, RFC 5940 §2
DIGESTS = {
    "sha256": der.sequence((der.oid("2.16.840.1.101.3.4.2.1"),)),
    "sha384": der.sequence((der.oid("2.16.840.1.101.3.4.2.2"),)),
    "sha512": der.sequence((der.oid("2.16.840.1.101.3.4.2.3"),)),
}
_PSS, _MGF1 = der.oid("1.2.840.113549.1.1.10"), der.oid("1.2.840.113549.1.1.8")
_CONTENT_0, _CONTENT_1 = 0xA0, 0xA1
_MAX_ELEMENTS = 1000
MAX_SIGNERS = 20


@dataclass(frozen=True)
class Attribute:
    """An unsigned attribute: its type and its values, each as DER."""

    kind: bytes
    values: tuple[bytes, ...]

    @property
    def der(self) -> bytes:
        return der.sequence((self.kind, der.set_of(self.values)))


@dataclass(frozen=True)
class CmsParts:
    """The elements of a SignedData, as one of its signers has them. ``signer``: version to signature of its SignerInfo,
    six elements; ``revocations``: RevocationInfoChoice, each."""

    version: bytes
    digest_algorithms: bytes
    encapsulated: bytes
    certificates: tuple[bytes, ...]
    revocations: tuple[bytes, ...]
    signer: tuple[bytes, ...]
    unsigned: tuple[Attribute, ...]

    @classmethod
    def parse(cls, octets: bytes) -> CmsParts:
        """Take a message with one signer apart. Raises ValueError for what is not DER of this form."""
        found = cls.split(octets)
        if len(found) != 1:
            raise ValueError("not one signer")
        return found[0]

    @classmethod
    def split(cls, octets: bytes) -> tuple[CmsParts, ...]:
        """Take apart, a value for each signer, in the order in which they stand there. Raises ValueError for what is
        not DER of this form, and for more elements than any needs."""
        try:
            return cls._split(octets)
        except (IndexError, ValueError) as error:
            raise ValueError("not a SignedData in DER") from error

    @classmethod
    def _split(cls, octets: bytes) -> tuple[CmsParts, ...]:
        kind, wrapped = der.children(octets)
        (content,) = der.children(wrapped)
        if kind != SIGNED_DATA or der.sequence((kind, der.explicit(0, content))) != octets:
            raise ValueError
        version, digest_algorithms, encapsulated, *rest = der.children(content)
        certificates = der.children(rest.pop(0)) if rest[0][0] == _CONTENT_0 else ()
        revocations = der.children(rest.pop(0)) if rest[0][0] == _CONTENT_1 else ()
        (infos,) = rest
        signers = tuple(read_signer_info(one) for one in der.children(infos))
        count = len(certificates) + len(revocations) + sum(len(unsigned) for _, unsigned in signers)
        if not 0 < len(signers) <= MAX_SIGNERS or count > _MAX_ELEMENTS:
            raise ValueError
        return tuple(
            cls(version, digest_algorithms, encapsulated, certificates, revocations, signer, unsigned)
            for signer, unsigned in signers
        )

    def encode(self) -> bytes:
        """Put together, in DER, with this signer alone."""
        return join((self,))

    @property
    def signer_info(self) -> bytes:
        """The SignerInfo."""
        parts = list(self.signer)
        if self.unsigned:
            parts.append(der.implicit(1, der.set_of(one.der for one in self.unsigned)))
        return der.sequence(parts)

    @property
    def attributes(self) -> bytes:
        """The signed attributes as they are hashed: with the tag of a SET (RFC 5652 §5.4)."""
        return bytes((der.SET,)) + self.signer[3][1:]

    @property
    def signature(self) -> bytes:
        """The signature value: what a signature timestamp is over."""
        _, start, end = der.read(self.signer[5])
        return self.signer[5][start:end]

    @property
    def content(self) -> bytes | None:
        """What is inside; None for a detached signature. ValueError for a content that is no single OCTET STRING."""
        parts = der.children(self.encapsulated)
        if len(parts) < 2:
            return None
        (octets,) = der.children(parts[1])
        if octets[0] != der.OCTET_STRING:
            raise ValueError("the content is no OCTET STRING")
        return octets[der.read(octets)[1] :]

    @property
    def crls(self) -> tuple[bytes, ...]:
        """The CRLs inside, DER."""
        return tuple(one for one in self.revocations if one[0] == der.SEQUENCE)

    @property
    def ocsps(self) -> tuple[bytes, ...]:
        """The OCSP responses inside (RFC 5940), DER."""
        found = []
        for one in self.revocations:
            if one[0] == _CONTENT_1:
                parts = der.children(one)
                if len(parts) == 2 and parts[0] == _OCSP_RESPONSE:
                    found.append(parts[1])
        return tuple(found)

    def of_kind(self, kind: bytes) -> tuple[bytes, ...]:
        """The values of an unsigned attribute."""
        return tuple(value for one in self.unsigned if one.kind == kind for value in one.values)

    def counter_signed(self, signer_info: bytes) -> CmsParts:
        """A counter signature on this one (RFC 5652 §11.4), beside what the message carries. ValueError."""
        signer, unsigned = read_signer_info(signer_info)
        return replace(self, signer=signer, unsigned=unsigned)

    def with_unsigned(self, kind: bytes, value: bytes) -> CmsParts:
        """With one more unsigned attribute."""
        return replace(self, unsigned=(*self.unsigned, Attribute(kind, (value,))))

    def with_evidence(self, certificates: Iterable[bytes], ocsps: Iterable[bytes], crls: Iterable[bytes]) -> CmsParts:
        """With certificates and status beside those that are there, each once (EN 319 122-1 §5.4.1)."""
        responses = (der.implicit(1, der.sequence((_OCSP_RESPONSE, one))) for one in ocsps)
        return replace(
            self,
            certificates=tuple(dict.fromkeys((*self.certificates, *certificates))),
            revocations=tuple(dict.fromkeys((*self.revocations, *crls, *responses))),
        )

    # --- archive timestamps

    def hash_index(self, hash_name: str) -> bytes:
        """ATSHashIndexV3 over everything that is here now (EN 319 122-1 §5.5.2)."""

        def hashed(items: Iterable[bytes]) -> bytes:
            return der.sequence(der.octet_string(hashlib.new(hash_name, one).digest()) for one in items)

        values = (one.kind + value for one in self.unsigned for value in one.values)
        return der.sequence((DIGESTS[hash_name], hashed(self.certificates), hashed(self.revocations), hashed(values)))

    def archive_imprint(self, hash_name: str, content_digest: bytes, index: bytes) -> bytes:
        """What an archive timestamp is over (EN 319 122-1 §5.5.3); ``content_digest``: of what was signed."""
        content_type = der.children(self.encapsulated)[0]
        return hashlib.new(hash_name, b"".join((content_type, content_digest, *self.signer, index))).digest()

    def covered(self, index: bytes) -> Covered:
        """Hold a hash index against what is here. ValueError where it is none, or names what is not here."""
        algorithm, *lists = der.children(index)
        name = next((name for name, one in DIGESTS.items() if der.children(algorithm)[0] == der.children(one)[0]), None)
        if name is None or len(lists) != 3:
            raise ValueError("no hash index that counts")
        indexed = [{one[der.read(one)[1] :] for one in der.children(entry)} for entry in lists]
        values = [(one.kind, value) for one in self.unsigned for value in one.values]
        own = (self.certificates, self.revocations, tuple(kind + value for kind, value in values))
        digests = [[hashlib.new(name, item).digest() for item in items] for items in own]
        if any(not named <= set(here) for named, here in zip(indexed, digests, strict=True)):
            raise ValueError("the hash index names what is not here")
        attributes = tuple(value for value, one in zip(values, digests[2], strict=True) if one in indexed[2])
        evidence = set(digests[0]) <= indexed[0] and set(digests[1]) <= indexed[1]
        return Covered(evidence, attributes)


def shared(signers: Sequence[CmsParts]) -> tuple[CmsParts, ...]:
    """The same signers, each with the certificates and status of all: one message has one set of them."""
    certificates = tuple(dict.fromkeys(item for one in signers for item in one.certificates))
    revocations = tuple(dict.fromkeys(item for one in signers for item in one.revocations))
    return tuple(replace(one, certificates=certificates, revocations=revocations) for one in signers)


def join(signers: Sequence[CmsParts]) -> bytes:
    """A message with all these signers over one content, in DER. Version 5 where status of another kind than CRLs is
    inside (RFC 5652 §5.1)."""
    first = shared(signers)[0]
    digests = dict.fromkeys(item for one in signers for item in der.children(one.digest_algorithms))
    other = any(one[0] == _CONTENT_1 for one in first.revocations)
    content = [der.integer(5) if other else first.version, der.set_of(digests), first.encapsulated]
    if first.certificates:
        content.append(der.implicit(0, der.set_of(first.certificates)))
    if first.revocations:
        content.append(der.implicit(1, der.set_of(first.revocations)))
    content.append(der.set_of(one.signer_info for one in signers))
    return der.sequence((SIGNED_DATA, der.explicit(0, der.sequence(content))))


@dataclass(frozen=True)
class Covered:
    """What an archive timestamp covers: all certificates and status, or not; and which unsigned attribute values."""

    evidence: bool
    attributes: tuple[tuple[bytes, bytes], ...]


@cache
def pss_identifier(hash_name: str) -> bytes:
    """RSASSA-PSS with this hash, MGF1 with the same, and a salt as long (RFC 4055 §2.1, §3.1)."""
    digest = der.children(DIGESTS[hash_name])[0]
    hashed = der.sequence((digest, der.tlv(der.NULL, b"")))
    salt = der.integer(hashlib.new(hash_name).digest_size)
    parameters = (der.explicit(0, hashed), der.explicit(1, der.sequence((_MGF1, hashed))), der.explicit(2, salt))
    return der.sequence((_PSS, der.sequence(parameters)))


def build(
    attributes: bytes,
    signature: bytes,
    hash_name: str,
    signature_algorithm: bytes,
    issuer_and_serial: bytes,
    content: bytes | None,
    certificates: Sequence[bytes],
) -> CmsParts:
    """A fresh SignedData over id-data. ``attributes``: the SET OF signed attributes, as it was hashed; ``content``:
    None: detached."""
    encapsulated = (DATA,) if content is None else (DATA, der.explicit(0, der.octet_string(content)))
    digest = DIGESTS[hash_name]
    signer = (
        der.integer(1),
        issuer_and_serial,
        digest,
        der.implicit(0, attributes),
        signature_algorithm,
        der.octet_string(signature),
    )
    return CmsParts(
        der.integer(1), der.set_of((digest,)), der.sequence(encapsulated), tuple(certificates), (), signer, ()
    )


def with_hash_index(token: bytes, index: bytes) -> bytes:
    """A timestamp token with the hash index as an unsigned attribute of its own (EN 319 122-1 §5.5.2)."""
    return CmsParts.parse(token).with_unsigned(HASH_INDEX_V3, index).encode()


def read_signer_info(octets: bytes) -> tuple[tuple[bytes, ...], tuple[Attribute, ...]]:
    """A SignerInfo: its six elements, and its unsigned attributes. ValueError for one of another form."""
    signer = der.children(octets)
    unsigned: tuple[Attribute, ...] = ()
    if len(signer) == 7 and signer[6][0] == _CONTENT_1:
        unsigned = tuple(_attribute(one) for one in der.children(signer[6]))
    elif len(signer) != 6:
        raise ValueError
    if signer[3][0] != _CONTENT_0:
        raise ValueError
    return signer[:6], unsigned


def _attribute(octets: bytes) -> Attribute:
    kind, values = der.children(octets)
    return Attribute(kind, der.children(values))
