"""CMS signatures (RFC 5652), read strictly: signer by signer, signed attributes that bind content and certificate.

    C1  form: SignedData, as many SignerInfos as may be, nothing behind but zeros  CMS-FORM, CMS-SIGNERS
    C2  the digest algorithm is one that counts                                    CMS-DIGEST-ALGORITHM
    C3  contentType, messageDigest: each once, with one value; signingCertificateV2 CMS-ATTRIBUTES,
                                                                                   CMS-CERTIFICATE-ATTRIBUTE
    C4  contentType is that of the content; none in a counter signature (§11.4)    CMS-CONTENT-TYPE
    C5  messageDigest is the digest of what was signed                             CMS-HASH
    C6  signingCertificateV2 names the certificate of the signer                   CMS-CERTIFICATE
    C7  the signature over the signed attributes verifies                          CMS-SIGNATURE
    C8  its algorithm and key are ones that count, and fit the digest algorithm    CMS-ALGORITHM

Reading gives plain values; `asn1crypto` objects do not leave this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, core, parser, tsp  # noqa: F401  (tsp registers the signing-certificate attributes)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.log_proof import PROOF_ATTRIBUTES
from foundation.x509 import der
from foundation.x509.signature_check import HASHES, SIGNATURE_ALGORITHMS, Outcome, Scheme
from foundation.x509.status_evidence import extension_of
from signing.cms_parts import MAX_SIGNERS
from signing.parallel_signatures import MULTIPLE_SIGNATURES_OID
from signing.verify.cms_algorithms import check_value
from signing.verify.model import Reason, SubIndication, failed, indeterminate
from signing.verify.policy import Policy

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"

_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"  # RFC 2634 §5.4, SHA-1
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"  # RFC 5035 §3
_TIMESTAMP_TOKEN = "1.2.840.113549.1.9.16.2.14"  # noqa: S105
DIGESTS = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "2.16.840.1.101.3.4.2.8": "sha3-256",
    "2.16.840.1.101.3.4.2.9": "sha3-384",
    "2.16.840.1.101.3.4.2.10": "sha3-512",
}
# Signed attributes that nothing here reads, but whose values are held to their form: the first octets that they may
# have. `asn1crypto` has the form of those alone that are registered with it, and what else was imported registers some.
_FORMS = {
    "1.2.840.113583.1.1.8": b"\x30",  # ISO 32000-2 §12.8.3.3, revocation information
    "1.2.840.113549.1.9.16.2.15": b"\x30\x05",  # EN 319 122-1 §5.2.9.1, signature policy: a SEQUENCE or NULL
    "1.2.840.113549.1.9.16.2.16": b"\x30",  # §5.2.3, commitment type
    "1.2.840.113549.1.9.16.2.20": b"\x30",  # §5.2.8, content timestamp
    "0.4.0.1733.2.1": b"\x0c",  # §5.2.4.2, MIME type
    "0.4.0.19122.1.1": b"\x30",  # §5.2.6.1, signer attributes
    "0.4.0.19122.1.2": b"\x04",  # §5.2.6.2, claimed assertion (inside signer attributes where it belongs)
    "0.4.0.19122.1.3": b"\x30",  # §5.2.10, signature policy store (unsigned where it belongs)
    "1.0.32004.1.2": b"\x30",  # ISO/TS 32004, MAC
}
_MAX_CERTIFICATES = 100
_MAX_TIMESTAMPS = 20
_MAX_PROOFS = 8


class CmsMalformed(ValueError):
    """Octets that are no CMS signature of the form that we take. ``rule`` is the check that they fail."""

    def __init__(self, rule: str = "CMS-FORM") -> None:
        super().__init__(rule)
        self.rule = rule


@dataclass(frozen=True)
class CertificateId:
    """An ESSCertID(v2): the digest of the signer's certificate (RFC 5035 §4)."""

    digest_name: str
    digest: bytes


@dataclass(frozen=True)
class SignedMessage:
    """A CMS SignedData with one signer, as values. Nothing of it is verified yet. Algorithms are dotted OIDs."""

    content_type: str
    content: bytes | None
    certificates: tuple[x509.Certificate, ...]
    candidates: tuple[x509.Certificate, ...]  # those that the signer identifier names
    digest_algorithm: str
    signature_algorithm: str
    pss: padding.PSS | None
    pss_hash: str | None
    signature: bytes
    signed_attributes: bytes | None  # as signed: with the tag of a SET (RFC 5652 §5.4)
    attributes_once: bool  # no attribute stands twice, each has one value
    stated_content_type: str | None
    stated_digest: bytes | None
    certificate_ids: tuple[CertificateId, ...]
    signing_time: datetime | None
    timestamp_tokens: tuple[bytes, ...]
    log_proofs: tuple[bytes, ...]  # C2SP tlog-proofs of the signer's certificate
    announces: bool = False  # a signature beside it (`signing.parallel_signatures`)


@dataclass(frozen=True)
class CmsCheck:
    """What :func:`check_message` found: the signer's certificate where one was found, and every objection."""

    signer: x509.Certificate | None
    reasons: tuple[Reason, ...]


def read_message(octets: bytes, *, padded: bool = False) -> SignedMessage:
    """C1. Raises CmsMalformed, and nothing else, for anything that is not such a message.

    ``padded``: zeros may follow, as in a PDF signature's hole.
    """
    found = read_messages(octets, padded=padded)
    if len(found) != 1:
        raise CmsMalformed("CMS-SIGNERS")
    return found[0]


def read_messages(octets: bytes, *, padded: bool = False) -> tuple[SignedMessage, ...]:
    """The same for a message with several signers: one value for each, in the order in which they stand there."""
    try:
        return _read(octets, padded)
    except (CmsMalformed, MemoryError):
        raise
    except Exception as error:  # asn1crypto raises ValueError, TypeError, KeyError, RecursionError and more
        raise CmsMalformed from error


def read_counter_signature(octets: bytes, certificates: tuple[x509.Certificate, ...]) -> SignedMessage:
    """A SignerInfo that signs another signature's value (RFC 5652 §11.4). CmsMalformed."""
    try:
        return _signer_message(cms.SignerInfo.load(octets, strict=True), certificates, "", None)
    except (CmsMalformed, MemoryError):
        raise
    except Exception as error:
        raise CmsMalformed from error


def _read(octets: bytes, padded: bool) -> tuple[SignedMessage, ...]:
    size: int = parser.peek(octets)
    rest = octets[size:]
    if (rest and not padded) or rest.strip(b"\x00"):
        raise CmsMalformed
    info: Any = cms.ContentInfo.load(octets[:size])
    if info["content_type"].dotted != SIGNED_DATA:
        raise CmsMalformed
    signed = info["content"]
    signers = signed["signer_infos"]
    if not 0 < len(signers) <= MAX_SIGNERS:
        raise CmsMalformed("CMS-SIGNERS")
    certificates = _certificates(signed["certificates"])
    kind = signed["encap_content_info"]["content_type"].dotted
    content = _octets(signed["encap_content_info"]["content"])
    return tuple(_signer_message(one, certificates, kind, content) for one in signers)


def _signer_message(
    signer: Any, certificates: tuple[x509.Certificate, ...], content_type: str, content: bytes | None
) -> SignedMessage:
    attributes = signer["signed_attrs"]
    stated: dict[str, Any] = {}
    once = True
    if not isinstance(attributes, core.Void):
        for attribute in attributes:
            kind = attribute["type"].dotted
            once = once and kind not in stated and len(attribute["values"]) == 1
            stated[kind] = attribute["values"][0]
            if kind in _FORMS and stated[kind].dump()[0] not in _FORMS[kind]:
                raise CmsMalformed
    pss, pss_hash = _pss(signer["signature_algorithm"])
    return SignedMessage(
        content_type=content_type,
        content=content,
        certificates=certificates,
        candidates=tuple(one for one in certificates if _is_named(signer["sid"], one)),
        digest_algorithm=signer["digest_algorithm"]["algorithm"].dotted,
        signature_algorithm=signer["signature_algorithm"]["algorithm"].dotted,
        pss=pss,
        pss_hash=pss_hash,
        signature=signer["signature"].native,
        signed_attributes=der.tlv(der.SET, attributes.contents) if stated else None,
        attributes_once=once,
        stated_content_type=stated[_CONTENT_TYPE].dotted if _CONTENT_TYPE in stated else None,
        stated_digest=stated[_MESSAGE_DIGEST].native if _MESSAGE_DIGEST in stated else None,
        certificate_ids=_certificate_ids(stated),
        signing_time=_time(stated.get(_SIGNING_TIME)),
        timestamp_tokens=_tokens(signer["unsigned_attrs"]),
        log_proofs=_log_proofs(signer["unsigned_attrs"]),
        announces=MULTIPLE_SIGNATURES_OID in stated,
    )


def _octets(content: Any) -> bytes | None:
    """The eContent octets, or None where the content is detached."""
    return None if isinstance(content, core.Void) else bytes(content)


def _certificates(choices: Any) -> tuple[x509.Certificate, ...]:
    found: list[x509.Certificate] = []
    if isinstance(choices, core.Void):
        return ()
    if len(choices) > _MAX_CERTIFICATES:
        raise CmsMalformed("CMS-LIMIT")
    for choice in choices:
        if choice.name != "certificate":
            continue
        try:
            found.append(x509.load_der_x509_certificate(choice.chosen.dump()))
        except MemoryError:
            raise
        except Exception:  # noqa: S112  (one that cannot be read cannot help)
            continue
    return tuple(found)


def _is_named(identifier: Any, certificate: x509.Certificate) -> bool:
    """Whether a SignerIdentifier names this certificate (RFC 5652 §5.3)."""
    try:
        if identifier.name == "issuer_and_serial_number":
            named = identifier.chosen
            return bool(
                named["serial_number"].native == certificate.serial_number
                and named["issuer"].dump() == certificate.issuer.public_bytes()
            )
        key = extension_of(certificate, x509.SubjectKeyIdentifier)
        return bool(key is not None and key.digest == identifier.chosen.native)
    except MemoryError:
        raise
    except Exception:  # names and extensions that cannot be read name nobody
        return False


def _pss(algorithm: Any) -> tuple[padding.PSS | None, str | None]:
    if SIGNATURE_ALGORITHMS.get(algorithm["algorithm"].dotted, (None,))[0] is not Scheme.RSA_PSS:
        return None, None
    parameters = algorithm["parameters"]
    hash_name = DIGESTS.get(parameters["hash_algorithm"]["algorithm"].dotted)
    mask = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].dotted
    if hash_name not in HASHES or DIGESTS.get(mask) != hash_name:
        return None, None
    return padding.PSS(padding.MGF1(HASHES[hash_name]), parameters["salt_length"].native), hash_name


def _certificate_ids(stated: dict[str, Any]) -> tuple[CertificateId, ...]:
    if _SIGNING_CERTIFICATE_V2 in stated:
        first = stated[_SIGNING_CERTIFICATE_V2]["certs"][0]
        name = DIGESTS.get(first["hash_algorithm"]["algorithm"].dotted, "")
        return (CertificateId(name, first["cert_hash"].native),)
    if _SIGNING_CERTIFICATE in stated:
        return (CertificateId("sha1", stated[_SIGNING_CERTIFICATE]["certs"][0]["cert_hash"].native),)
    return ()


def _time(value: Any) -> datetime | None:
    found = value.native if value is not None else None
    return found.astimezone(UTC) if isinstance(found, datetime) else None


def _tokens(attributes: Any) -> tuple[bytes, ...]:
    if isinstance(attributes, core.Void):
        return ()
    found = [
        value.dump()
        for attribute in attributes
        if attribute["type"].dotted == _TIMESTAMP_TOKEN
        for value in attribute["values"]
    ]
    if len(found) > _MAX_TIMESTAMPS:
        raise CmsMalformed("CMS-LIMIT")
    return tuple(found)


def _log_proofs(attributes: Any) -> tuple[bytes, ...]:
    """The octets of every proof that there is; what is no OCTET STRING is none."""
    if isinstance(attributes, core.Void):
        return ()
    values = [value.dump() for one in attributes if one["type"].dotted in PROOF_ATTRIBUTES for value in one["values"]]
    found = [value[der.read(value)[1] :] for value in values if value[:1] == bytes((der.OCTET_STRING,))]
    return tuple(found[:_MAX_PROOFS])


def digest_name(message: SignedMessage) -> str | None:
    """The name of the message's digest algorithm; None for one that has no name here."""
    return DIGESTS.get(message.digest_algorithm)


def check_message(
    message: SignedMessage,
    digest_of: Callable[[str], bytes],
    content_type: str | None,
    policy: Policy,
    *,
    sha1_certificate_id: bool = False,
) -> CmsCheck:
    """C2-C8. ``digest_of`` gives the digest of what was signed by a hash's name. Raises nothing.

    ``content_type`` None: a counter signature, which has none. ``sha1_certificate_id``: whether the older ESSCertID
    counts (RFC 3161 §2.4.2 asks for it in timestamps).
    """
    reasons: list[Reason] = []
    name = digest_name(message)
    if name not in policy.digests:  # C2
        reasons.append(
            indeterminate(
                "CMS-DIGEST-ALGORITHM",
                "EN 319 102-1 §5.2.8",
                "verify_algorithm",
                SubIndication.CRYPTO_CONSTRAINTS_FAILURE,
            )
        )
    if message.signed_attributes is None or not message.attributes_once:  # C3
        return CmsCheck(None, (_format("CMS-ATTRIBUTES", "RFC 5652 §5.3, §11"),))
    if message.stated_digest is None or (message.stated_content_type is None and content_type is not None):
        return CmsCheck(None, (_format("CMS-ATTRIBUTES", "RFC 5652 §5.3"),))
    stated = message.stated_content_type
    if stated != content_type or message.content_type != (content_type or ""):  # C4
        reasons.append(_format("CMS-CONTENT-TYPE", "RFC 5652 §11.1"))
    if name is not None and message.stated_digest != digest_of(name):  # C5
        reasons.append(failed("CMS-HASH", "EN 319 102-1 §5.2.7.4", "verify_hash_failure", SubIndication.HASH_FAILURE))
    signer, objection = _signer(message, sha1_certificate_id)  # C6
    if objection is not None:
        reasons.append(objection)
    if signer is None:
        return CmsCheck(None, tuple(reasons))
    outcome = check_value(message, signer, name, policy)
    if outcome is Outcome.WRONG:  # C7
        reasons.append(
            failed(
                "CMS-SIGNATURE",
                "EN 319 102-1 §5.2.7.4",
                "verify_crypto_failure",
                SubIndication.SIG_CRYPTO_FAILURE,
            )
        )
    elif outcome is Outcome.REFUSED:  # C8
        reasons.append(
            indeterminate(
                "CMS-ALGORITHM",
                "EN 319 102-1 §5.2.8",
                "verify_algorithm",
                SubIndication.CRYPTO_CONSTRAINTS_FAILURE,
            )
        )
    return CmsCheck(signer, tuple(reasons))


def _format(rule: str, clause: str) -> Reason:
    return failed(rule, clause, "verify_format_failure", SubIndication.FORMAT_FAILURE)


def _signer(message: SignedMessage, sha1_allowed: bool) -> tuple[x509.Certificate | None, Reason | None]:
    """C6. Where the attribute names another certificate, the named signer is still given, so that C7 can speak."""
    allowed = {*HASHES, "sha1"} if sha1_allowed else set(HASHES)
    ids = [one for one in message.certificate_ids if one.digest_name in allowed]
    first = message.candidates[0] if message.candidates else None
    if not message.certificate_ids:
        return first, indeterminate(
            "CMS-CERTIFICATE-ATTRIBUTE",
            "EN 319 122-1 §5.2.2",
            "verify_no_certificate_attribute",
            SubIndication.SIG_CONSTRAINTS_FAILURE,
        )
    for certificate in message.candidates:
        octets = certificate.public_bytes(Encoding.DER)
        if any(hashlib.new(one.digest_name, octets).digest() == one.digest for one in ids):
            return certificate, None
    return first, indeterminate(
        "CMS-CERTIFICATE",
        "EN 319 102-1 §5.2.3",
        "verify_no_signing_certificate",
        SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
    )
