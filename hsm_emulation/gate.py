"""A key's policy, compiled, and the judgment on each input before it is signed. Pure: the clock's time is an argument.

The rules, by the names that stand in ``PolicyRefused.rule`` and in the audit log:

    POL-KIND                a kind of input that this key does not sign
    POL-FORM                not DER of the structure that it begins as
    POL-ALGORITHM           the algorithm inside is not the one it would be signed with
    POL-SERIAL              not positive, or longer than 20 octets
    POL-ISSUER              another issuer than the first that this key signed for
    POL-VALIDITY            negative, or longer than the policy's longest
    POL-SUBJECT             itself, a CA or an end entity, where the policy says otherwise
    POL-PATH-LENGTH         a CA without a path length, or with a longer one
    POL-EXTENSION           an extension that the policy does not name
    POL-KEY-USAGE           a key usage that the policy does not name, or a CA's in an end entity
    POL-EXTENDED-KEY-USAGE  likewise
    POL-NAME-SPACE          a subject without an attribute that all must have
    POL-OWN-KEY             a certification request for another key
    POL-RESPONDER           an OCSP response in the name of another key
    POL-CONTENT             signed attributes that are not over the TSTInfo that was shown, or with more beside it
    POL-TIME                a genTime too far from the token's clock, or before one that was signed
    POL-USES                signed as often as it may
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from cryptography import x509

from foundation import approval
from foundation.keys.errors import DataInvalid, PolicyRefused
from foundation.keys.handles import public_key
from foundation.keys.mechanisms import SCHEMES, Family
from foundation.keys.policy import KEY_USAGES, CertificateRules, KeyPolicy, Signable, Subject
from foundation.keys.port import KeyAlgorithm, KeyInfo, Mechanism
from foundation.x509 import der, oids
from foundation.x509.algorithms import SIGNATURE_OIDS, signature_algorithm_identifier
from hsm_emulation import structures
from hsm_emulation.time_stamps import read_time_stamp

_DAY = 86400
_HASHED = {
    (Family.ECDSA, "sha256"): oids.ECDSA_SHA256,
    (Family.ECDSA, "sha384"): oids.ECDSA_SHA384,
    (Family.ECDSA, "sha512"): oids.ECDSA_SHA512,
    (Family.RSA_PKCS1, "sha256"): oids.RSA_SHA256,
    (Family.RSA_PKCS1, "sha384"): "1.2.840.113549.1.1.12",
    (Family.RSA_PKCS1, "sha512"): "1.2.840.113549.1.1.13",
}
_HASH_OIDS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_HASH_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}
_NULL = b"\x05\x00"


class Facts(NamedTuple):
    """What a judgment leaves to be held against the past, in the transaction that writes the intent.

    ``issuer``: the name that this key signs for; ``at``: a timestamp's time in microseconds since 1970, and
    ``ordered``: whether it claims to be ordered among all of this key.
    """

    issuer: bytes | None = None
    at: int | None = None
    ordered: bool = False


_NOTHING = Facts()


class Gate:
    """What one key may sign."""

    def __init__(self, policy: KeyPolicy, info: KeyInfo) -> None:
        self.policy = policy
        self._kinds = policy.kinds
        self._reads = info.use.certifies
        self._key = info.public_key
        self._algorithm = info.algorithm
        rules = policy.certificates
        self._rules = None if rules is None else _Compiled(rules)
        self._responder = b""
        if Signable.OCSP in policy.kinds:  # RFC 6960 §4.2.1: KeyHash is SHA-1
            digest = x509.SubjectKeyIdentifier.from_public_key(public_key(info)).digest
            self._responder = der.tlv(0xA2, der.octet_string(digest))

    def judge_all(
        self, mechanism: Mechanism, inputs: Sequence[bytes], contents: Sequence[bytes | None], now: datetime
    ) -> list[Facts]:
        """:meth:`judge` on each input with its content."""
        return [self.judge(mechanism, data, content, now) for data, content in zip(inputs, contents, strict=True)]

    def judge(self, mechanism: Mechanism, data: bytes, content: bytes | None, now: datetime) -> Facts:
        """PolicyRefused unless this may be signed; DataInvalid for a content where none belongs, or none where it does.

        ``content``: the TSTInfo that ``data``, CMS SignedAttributes, is over.
        """
        if not self._reads:
            if content is not None:
                raise DataInvalid
            judge_document(self.policy, mechanism, data)
            return _NOTHING
        kind = structures.kind_of(data)
        if kind not in self._kinds:
            raise PolicyRefused(rule="POL-KIND")
        if (content is not None) is not (kind is Signable.TIMESTAMP):
            raise DataInvalid
        if content is not None:
            return self._judge_timestamp(mechanism, data, content, now)
        algorithm = _algorithm(self._algorithm, mechanism)
        if kind is Signable.CERTIFICATE:
            return self._judge_certificate(structures.read_certificate(data, algorithm))
        if kind is Signable.CRL:
            return Facts(structures.read_crl(data, algorithm))
        if kind is Signable.OCSP:
            responder = structures.read_ocsp(data, algorithm)
            if responder[0] == 0xA2:
                if responder != self._responder:
                    raise PolicyRefused(rule="POL-RESPONDER")
                return _NOTHING
            return Facts(structures.named(responder))
        if structures.read_request(data, algorithm) != self._key:
            raise PolicyRefused(rule="POL-OWN-KEY")
        return _NOTHING

    def _judge_certificate(self, found: structures.Certificate) -> Facts:
        rules = self._rules
        if rules is None:
            raise PolicyRefused(rule="POL-KIND")
        if not 0 <= found.seconds < rules.seconds:  # both ends count, RFC 5280 §4.1.2.5
            raise PolicyRefused(rule="POL-VALIDITY")
        itself = found.public_key == self._key
        subject = Subject.ITSELF if itself else Subject.CA if found.ca else Subject.END_ENTITY
        if subject not in rules.subjects or (itself and found.subject != found.issuer):
            raise PolicyRefused(rule="POL-SUBJECT")
        longest, length = rules.path_length, found.path_length
        if subject is Subject.CA and longest is not None and (length is None or length > longest):
            raise PolicyRefused(rule="POL-PATH-LENGTH")
        for extension in found.extensions:
            if extension not in rules.extensions:
                raise PolicyRefused(rule="POL-EXTENSION")
        usage = found.key_usage
        if usage is not None and (usage & ~rules.key_usages or (usage & _CA_USAGES and not found.ca)):
            raise PolicyRefused(rule="POL-KEY-USAGE")
        for one in found.extended_key_usages:
            if one not in rules.extended_key_usages:
                raise PolicyRefused(rule="POL-EXTENDED-KEY-USAGE")
        if rules.name_space and not itself and not rules.name_space <= structures.attributes(found.subject):
            raise PolicyRefused(rule="POL-NAME-SPACE")
        return Facts(found.issuer)

    def _judge_timestamp(self, mechanism: Mechanism, data: bytes, content: bytes, now: datetime) -> Facts:
        digest = hashlib.new(SCHEMES[mechanism].hash or "sha512", content).digest()
        found = read_time_stamp(data, content, digest)
        if abs(found.at - int(now.timestamp() * 1_000_000)) > self.policy.clock_seconds * 1_000_000:
            raise PolicyRefused(rule="POL-TIME")
        return Facts(None, found.at, found.ordered)


def judge_document(policy: KeyPolicy, mechanism: Mechanism, data: bytes) -> None:
    """Whether a key that does not certify signs digests, or messages, as this mechanism does; PolicyRefused.

    One for approvals alone signs whole statements of the registration authority, which are read here.
    """
    if Signable.APPROVAL in policy.kinds and not SCHEMES[mechanism].takes_digest:
        try:
            approval.parse(data)
        except approval.ApprovalRefused:
            raise PolicyRefused(rule="POL-FORM") from None
        return
    if (Signable.DIGEST if SCHEMES[mechanism].takes_digest else Signable.MESSAGE) not in policy.kinds:
        raise PolicyRefused(rule="POL-KIND")


class _Compiled:
    """Certificate rules in the form in which they are looked up."""

    def __init__(self, rules: CertificateRules) -> None:
        self.subjects = rules.subjects
        self.seconds = rules.longest_days * _DAY
        self.path_length = rules.path_length
        self.extensions = frozenset(_content(one) for one in rules.extensions)
        self.key_usages = _bits(rules.key_usages)
        self.extended_key_usages = frozenset(_content(one) for one in rules.extended_key_usages)
        self.name_space = frozenset((_content(oid), value.encode()) for oid, value in rules.name_space)


def _content(dotted: str) -> bytes:
    return der.oid(dotted)[2:]  # no OID of ours has 128 octets


def _bits(names: frozenset[str]) -> int:
    return sum(1 << (len(KEY_USAGES) - 1 - KEY_USAGES.index(name)) for name in names)


_CA_USAGES = _bits(frozenset({"keyCertSign", "cRLSign"}))


def _algorithm(algorithm: KeyAlgorithm, mechanism: Mechanism) -> bytes:
    """The AlgorithmIdentifier that a structure signed by this mechanism must name."""
    scheme = SCHEMES[mechanism]
    if scheme.hash is None:
        return signature_algorithm_identifier(SIGNATURE_OIDS[algorithm])
    if scheme.family is Family.RSA_PSS:
        return _pss(scheme.hash)
    return signature_algorithm_identifier(_HASHED[scheme.family, scheme.hash])


@cache
def _pss(name: str) -> bytes:
    """id-RSASSA-PSS with one hash, MGF1 of it and a salt as long as it (RFC 4055 §3.1)."""
    hashed = der.sequence((der.oid(_HASH_OIDS[name]), _NULL))
    mask = der.sequence((der.oid("1.2.840.113549.1.1.8"), hashed))
    salt = der.integer(_HASH_SIZES[name])
    parameters = der.sequence((der.explicit(0, hashed), der.explicit(1, mask), der.explicit(2, salt)))
    return der.sequence((der.oid("1.2.840.113549.1.1.10"), parameters))
