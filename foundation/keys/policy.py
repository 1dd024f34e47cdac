"""What a key may sign: a value with one canonical form, whose SHA-256 goes wherever the key goes.

A policy is fixed when its key is made (changing it needs the quorum, where there is one) and enforced inside the token
before anything is signed. A key's policy can only say less than what its use allows: whatever the policy says, a key
that certifies takes whole messages and a citizen's key needs an activation.

The canonical form is RFC 8785 JSON of :meth:`KeyPolicy.data`; sets are sorted lists. `DEFAULTS` has the policy of each
use that is taken when none is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any

from foundation import arc
from foundation.canonical import canonical_json
from foundation.keys.activation import Method
from foundation.keys.errors import PolicyInvalid
from foundation.keys.port import KeyUse

FORMAT = "camtrust-key-policy-1"


class Signable(StrEnum):
    """Kinds of input. All but DIGEST, MESSAGE and APPROVAL are to-be-signed structures of keys that certify."""

    CERTIFICATE = "certificate"  # TBSCertificate, RFC 5280 §4.1.1.1
    CRL = "crl"  # TBSCertList, RFC 5280 §5.1.1.1
    OCSP = "ocsp"  # ResponseData, RFC 6960 §4.2.1
    REQUEST = "request"  # CertificationRequestInfo for this very key, RFC 2986 §4.1
    TIMESTAMP = "timestamp"  # CMS SignedAttributes over a TSTInfo that is shown too, RFC 3161 §2.4.2
    DIGEST = "digest"  # a SHA-2 digest made where the document is
    MESSAGE = "message"  # any message
    APPROVAL = "approval"  # a statement of the registration authority, `foundation.approval`


STRUCTURES = frozenset(Signable) - {Signable.DIGEST, Signable.MESSAGE, Signable.APPROVAL}


class Subject(StrEnum):
    """Whom a CA may certify."""

    ITSELF = "itself"  # the certificate has the CA's own key: a self-signed root, or a link certificate
    CA = "ca"
    END_ENTITY = "end-entity"


@dataclass(frozen=True)
class CertificateRules:
    """What the certificates that a CA key signs may be. Everything that is not named is refused.

    ``longest_days``: from notBefore to notAfter. ``path_length``: the largest pathLenConstraint of a CA that is
    certified, which then must have one; None: none is asked for. ``extensions`` and ``extended_key_usages``: dotted
    OIDs. ``key_usages``: RFC 5280 §4.2.1.3 names. ``name_space``: attributes (dotted OID, value) that every subject
    but the CA's own must have.
    """

    subjects: frozenset[Subject]
    longest_days: int
    path_length: int | None
    extensions: frozenset[str]
    key_usages: frozenset[str]
    extended_key_usages: frozenset[str]
    name_space: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.longest_days <= 36525 or not self.subjects:
            raise PolicyInvalid(field="certificates")
        if self.path_length is not None and not 0 <= self.path_length <= 255:
            raise PolicyInvalid(field="certificates")
        if not self.key_usages <= set(KEY_USAGES):
            raise PolicyInvalid(field="certificates")

    def data(self) -> dict[str, Any]:
        return {
            "subjects": sorted(self.subjects),
            "longest_days": self.longest_days,
            "path_length": self.path_length,
            "extensions": sorted(self.extensions),
            "key_usages": sorted(self.key_usages),
            "extended_key_usages": sorted(self.extended_key_usages),
            "name_space": [list(pair) for pair in self.name_space],
        }

    @classmethod
    def parse(cls, value: Any) -> CertificateRules:
        _fields(value, cls)
        return cls(
            subjects=frozenset(Subject(one) for one in _texts(value["subjects"])),
            longest_days=_number(value["longest_days"]),
            path_length=None if value["path_length"] is None else _number(value["path_length"]),
            extensions=frozenset(_texts(value["extensions"])),
            key_usages=frozenset(_texts(value["key_usages"])),
            extended_key_usages=frozenset(_texts(value["extended_key_usages"])),
            name_space=tuple(_pair(one) for one in _list(value["name_space"])),
        )


@dataclass(frozen=True)
class KeyPolicy:
    """What a key may sign, how often, and who has to say so.

    ``use_limit``: signatures in the key's life; None: as many as are asked for. ``needs_activation``: each signature
    needs its owner's activation, by one of ``methods``. ``needs_quorum``: where the token has custodians, the key is
    made by their quorum only. ``clock_seconds``: how far a timestamp's genTime may be from the token's clock.
    """

    kinds: frozenset[Signable]
    certificates: CertificateRules | None = None
    use_limit: int | None = None
    needs_activation: bool = False
    methods: frozenset[Method] = frozenset()
    needs_quorum: bool = False
    clock_seconds: int = 1

    def __post_init__(self) -> None:
        if not self.kinds or (self.certificates is None) == (Signable.CERTIFICATE in self.kinds):
            raise PolicyInvalid(field="kinds")
        if self.use_limit is not None and not 0 < self.use_limit < 1 << 62:
            raise PolicyInvalid(field="use_limit")
        if self.needs_activation != bool(self.methods):
            raise PolicyInvalid(field="methods")
        if not 0 < self.clock_seconds <= 60:
            raise PolicyInvalid(field="clock_seconds")

    def data(self) -> dict[str, Any]:
        """As JSON values, every field written out."""
        return {
            "format": FORMAT,
            "kinds": sorted(self.kinds),
            "certificates": self.certificates.data() if self.certificates else None,
            "use_limit": self.use_limit,
            "needs_activation": self.needs_activation,
            "methods": sorted(self.methods),
            "needs_quorum": self.needs_quorum,
            "clock_seconds": self.clock_seconds,
        }

    @cached_property
    def canonical(self) -> bytes:
        """The one octet string that is this policy."""
        return canonical_json(self.data())

    @cached_property
    def hash(self) -> str:
        """SHA-256 of :attr:`canonical`, in hexadecimal."""
        return sha256(self.canonical).hexdigest()

    @classmethod
    def parse(cls, value: Any) -> KeyPolicy:
        """The inverse of :meth:`data`. PolicyInvalid for anything but these fields, with values they can have."""
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise PolicyInvalid(field="format")
        rest = {name: one for name, one in value.items() if name != "format"}
        _fields(rest, cls)
        try:
            return cls(
                kinds=frozenset(Signable(one) for one in _texts(rest["kinds"])),
                certificates=None if rest["certificates"] is None else CertificateRules.parse(rest["certificates"]),
                use_limit=None if rest["use_limit"] is None else _number(rest["use_limit"]),
                needs_activation=_flag(rest["needs_activation"]),
                methods=frozenset(Method(one) for one in _texts(rest["methods"])),
                needs_quorum=_flag(rest["needs_quorum"]),
                clock_seconds=_number(rest["clock_seconds"]),
            )
        except ValueError:
            raise PolicyInvalid(field="value") from None


# RFC 5280 §4.2.1.3, in bit order
KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)

_PKIX = "1.3.6.1.5.5.7"
_SERVER, _CLIENT, _EMAIL = f"{_PKIX}.3.1", f"{_PKIX}.3.2", f"{_PKIX}.3.4"
_TIME_STAMPING, _OCSP_SIGNING, _DOCUMENTS = f"{_PKIX}.3.8", f"{_PKIX}.3.9", f"{_PKIX}.3.36"
_EXTENSIONS = frozenset(
    {
        "2.5.29.14",  # subjectKeyIdentifier
        "2.5.29.15",  # keyUsage
        "2.5.29.17",  # subjectAltName
        "2.5.29.19",  # basicConstraints
        "2.5.29.31",  # cRLDistributionPoints
        "2.5.29.32",  # certificatePolicies
        "2.5.29.35",  # authorityKeyIdentifier
        "2.5.29.37",  # extKeyUsage
        f"{_PKIX}.1.1",  # authorityInfoAccess
    }
)
_NO_CHECK = "1.3.6.1.5.5.7.48.1.5"
_FOR_CAS = frozenset({"2.5.29.30", "2.5.29.33", "2.5.29.36", "2.5.29.54"})  # name and policy constraints, mappings
_FOR_PERSONS = frozenset({f"{_PKIX}.1.3", "1.3.6.1.5.5.7.1.24"})  # qcStatements, TLS feature
_END_ENTITY = frozenset(KEY_USAGES) - {"keyCertSign", "cRLSign"}
_CA_KINDS = frozenset({Signable.CERTIFICATE, Signable.CRL, Signable.OCSP, Signable.REQUEST})
_DOCUMENT = KeyPolicy(kinds=frozenset({Signable.DIGEST, Signable.MESSAGE}))

DEFAULTS: Mapping[KeyUse, KeyPolicy] = {
    KeyUse.ROOT_CA: KeyPolicy(
        kinds=_CA_KINDS,
        certificates=CertificateRules(
            subjects=frozenset(Subject),
            longest_days=9132,
            path_length=None,
            extensions=_EXTENSIONS | _FOR_CAS | {_NO_CHECK, arc.STATEMENT},
            key_usages=frozenset({"keyCertSign", "cRLSign", "digitalSignature"}),
            extended_key_usages=frozenset({_OCSP_SIGNING}),
        ),
        needs_quorum=True,
    ),
    KeyUse.ISSUING_CA: KeyPolicy(
        kinds=_CA_KINDS,
        certificates=CertificateRules(
            subjects=frozenset({Subject.END_ENTITY}),
            longest_days=1096,
            path_length=None,
            extensions=_EXTENSIONS | _FOR_PERSONS | {_NO_CHECK},
            key_usages=_END_ENTITY,
            extended_key_usages=frozenset({_SERVER, _CLIENT, _EMAIL, _DOCUMENTS, _OCSP_SIGNING}),
        ),
        needs_quorum=True,
    ),
    KeyUse.TSA_CA: KeyPolicy(
        kinds=_CA_KINDS,
        certificates=CertificateRules(
            subjects=frozenset({Subject.END_ENTITY}),
            longest_days=1096,
            path_length=None,
            extensions=_EXTENSIONS | {_NO_CHECK},
            key_usages=frozenset({"digitalSignature"}),
            extended_key_usages=frozenset({_TIME_STAMPING, _OCSP_SIGNING}),
        ),
        needs_quorum=True,
    ),
    KeyUse.OCSP_RESPONDER: KeyPolicy(kinds=frozenset({Signable.OCSP, Signable.REQUEST})),
    KeyUse.TSA: KeyPolicy(kinds=frozenset({Signable.TIMESTAMP, Signable.REQUEST})),
    KeyUse.CITIZEN_SIGN: KeyPolicy(
        kinds=frozenset({Signable.DIGEST, Signable.MESSAGE}), needs_activation=True, methods=frozenset(Method)
    ),
    KeyUse.ORGANISATION_SEAL: _DOCUMENT,
    KeyUse.REGISTRATION_AUTHORITY: _DOCUMENT,
    KeyUse.TRUST_LIST: _DOCUMENT,
    KeyUse.AUDIT: _DOCUMENT,
    KeyUse.LOG: _DOCUMENT,
    KeyUse.IDENTITY_PROVIDER: KeyPolicy(kinds=frozenset({Signable.DIGEST})),
    KeyUse.WEBHOOKS: _DOCUMENT,
}


APPROVALS_ALONE = KeyPolicy(kinds=frozenset({Signable.APPROVAL}))
"""For the key that approves citizens' certificates: it signs statements that the token has read, and nothing else."""


def policy_for(use: KeyUse, policy: KeyPolicy | None) -> KeyPolicy:
    """The policy that a key of this use gets: the one asked for, or the default.

    PolicyInvalid for one that would let a certifying key sign what the token cannot read, or a citizen's key sign
    without an activation.
    """
    if policy is None:
        return DEFAULTS[use]
    if (use.certifies and not policy.kinds <= STRUCTURES) or (not use.certifies and policy.kinds & STRUCTURES):
        raise PolicyInvalid(field="kinds")
    if Signable.APPROVAL in policy.kinds and (use is not KeyUse.REGISTRATION_AUTHORITY or len(policy.kinds) > 1):
        raise PolicyInvalid(field="kinds")
    if use.needs_activation != policy.needs_activation:
        raise PolicyInvalid(field="needs_activation")
    return policy


def _fields(value: Any, kind: type[KeyPolicy] | type[CertificateRules]) -> None:
    if not isinstance(value, dict) or set(value) != {field.name for field in fields(kind)}:
        raise PolicyInvalid(field="names")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise PolicyInvalid(field="list")
    return value


def _texts(value: Any) -> list[str]:
    found = _list(value)
    if not all(isinstance(one, str) for one in found) or found != sorted(set(found)):
        raise PolicyInvalid(field="list")
    return found


def _pair(value: Any) -> tuple[str, str]:
    pair = _list(value)
    if len(pair) != 2 or not all(isinstance(one, str) for one in pair):
        raise PolicyInvalid(field="name_space")
    return pair[0], pair[1]


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PolicyInvalid(field="number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise PolicyInvalid(field="flag")
    return value
