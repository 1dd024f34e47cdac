"""CMP's and CRMF's structures (RFC 9810 Appendix F with explicit tags, RFC 4211 Appendix B with implicit ones)."""

# ruff: noqa: RUF012 - asn1crypto completes these lists in place
from __future__ import annotations

from asn1crypto import algos, core, csr, keys, x509

PBM, EXTENSION_REQUEST = "1.2.840.113533.7.66.13", "1.2.840.113549.1.9.14"
PBMAC1, PBKDF2 = "1.2.840.113549.1.5.14", "1.2.840.113549.1.5.12"
CONFIRM_WAIT_TIME = "1.3.6.1.5.5.7.4.14"
IMPLICIT_CONFIRM, CA_CERTS = "1.3.6.1.5.5.7.4.13", "1.3.6.1.5.5.7.4.17"
ROOT_CA_KEY_UPDATE, CERT_REQ_TEMPLATE = "1.3.6.1.5.5.7.4.18", "1.3.6.1.5.5.7.4.19"
ROOT_CA_CERT, CRL_STATUS_LIST, CRLS = "1.3.6.1.5.5.7.4.20", "1.3.6.1.5.5.7.4.22", "1.3.6.1.5.5.7.4.23"


class FreeText(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.UTF8String


class InfoTypeAndValue(core.Sequence):  # type: ignore[misc]
    _fields = [("type", core.ObjectIdentifier), ("value", core.Any, {"optional": True})]


class InfoTypesAndValues(core.SequenceOf):  # type: ignore[misc]
    _child_spec = InfoTypeAndValue


class Algorithm(core.Sequence):  # type: ignore[misc]
    """AlgorithmIdentifier, its parameters left as they are."""

    _fields = [("algorithm", core.ObjectIdentifier), ("parameters", core.Any, {"optional": True})]


class PbmParameter(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("salt", core.OctetString),
        ("owf", Algorithm),
        ("iterations", core.Integer),
        ("mac", Algorithm),
    ]


class Pbmac1Parameters(core.Sequence):  # type: ignore[misc]
    _fields = [("kdf", Algorithm), ("mac", Algorithm)]


class Header(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("pvno", core.Integer),
        ("sender", x509.GeneralName),
        ("recipient", x509.GeneralName),
        ("time", core.GeneralizedTime, {"explicit": 0, "optional": True}),
        ("protection_alg", Algorithm, {"explicit": 1, "optional": True}),
        ("sender_kid", core.OctetString, {"explicit": 2, "optional": True}),
        ("recip_kid", core.OctetString, {"explicit": 3, "optional": True}),
        ("transaction_id", core.OctetString, {"explicit": 4, "optional": True}),
        ("sender_nonce", core.OctetString, {"explicit": 5, "optional": True}),
        ("recip_nonce", core.OctetString, {"explicit": 6, "optional": True}),
        ("free_text", FreeText, {"explicit": 7, "optional": True}),
        ("general_info", InfoTypesAndValues, {"explicit": 8, "optional": True}),
    ]


class OptionalValidity(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("not_before", x509.Time, {"explicit": 0, "optional": True}),
        ("not_after", x509.Time, {"explicit": 1, "optional": True}),
    ]


class CertTemplate(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("version", core.Integer, {"implicit": 0, "optional": True}),
        ("serial", core.Integer, {"implicit": 1, "optional": True}),
        ("signing_alg", algos.SignedDigestAlgorithm, {"implicit": 2, "optional": True}),
        ("issuer", x509.Name, {"explicit": 3, "optional": True}),
        ("validity", OptionalValidity, {"implicit": 4, "optional": True}),
        ("subject", x509.Name, {"explicit": 5, "optional": True}),
        ("public_key", keys.PublicKeyInfo, {"implicit": 6, "optional": True}),
        ("issuer_uid", core.OctetBitString, {"implicit": 7, "optional": True}),
        ("subject_uid", core.OctetBitString, {"implicit": 8, "optional": True}),
        ("extensions", x509.Extensions, {"implicit": 9, "optional": True}),
    ]


class CertId(core.Sequence):  # type: ignore[misc]
    _fields = [("issuer", x509.GeneralName), ("serial", core.Integer)]


class CertRequest(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("id", core.Integer),
        ("template", CertTemplate),
        ("controls", InfoTypesAndValues, {"optional": True}),
    ]


class PopoSigningKeyInput(core.Sequence):  # type: ignore[misc]
    """Read so that it can be told and refused: it is for a subject that is not in the template."""

    _fields = [("auth_info", core.Any), ("public_key", core.Any)]


class PopoSigningKey(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("input", PopoSigningKeyInput, {"implicit": 0, "optional": True}),
        ("algorithm", Algorithm),
        ("signature", core.OctetBitString),
    ]


class Popo(core.Choice):  # type: ignore[misc]
    _alternatives = [
        ("ra_verified", core.Null, {"implicit": 0}),
        ("signature", PopoSigningKey, {"implicit": 1}),
        ("key_encipherment", core.Any, {"explicit": 2}),
        ("key_agreement", core.Any, {"explicit": 3}),
    ]


class CertReqMsg(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("request", CertRequest),
        ("popo", Popo, {"optional": True}),
        ("reg_info", InfoTypesAndValues, {"optional": True}),
    ]


class CertReqMessages(core.SequenceOf):  # type: ignore[misc]
    _child_spec = CertReqMsg


class StatusInfo(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("status", core.Integer),
        ("text", FreeText, {"optional": True}),
        ("failure", core.BitString, {"optional": True}),
    ]


class Certificates(core.SequenceOf):  # type: ignore[misc]
    _child_spec = x509.Certificate


class CertOrEncCert(core.Choice):  # type: ignore[misc]
    _alternatives = [("certificate", x509.Certificate, {"explicit": 0}), ("encrypted", core.Any, {"explicit": 1})]


class CertifiedKeyPair(core.Sequence):  # type: ignore[misc]
    _fields = [("certificate", CertOrEncCert)]


class CertResponse(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("id", core.Integer),
        ("status", StatusInfo),
        ("pair", CertifiedKeyPair, {"optional": True}),
    ]


class CertResponses(core.SequenceOf):  # type: ignore[misc]
    _child_spec = CertResponse


class CertRepMessage(core.Sequence):  # type: ignore[misc]
    _fields = [("ca_certificates", Certificates, {"explicit": 1, "optional": True}), ("responses", CertResponses)]


class RevDetails(core.Sequence):  # type: ignore[misc]
    _fields = [("template", CertTemplate), ("entry", x509.Extensions, {"optional": True})]


class RevReqContent(core.SequenceOf):  # type: ignore[misc]
    _child_spec = RevDetails


class StatusInfos(core.SequenceOf):  # type: ignore[misc]
    _child_spec = StatusInfo


class RevRepContent(core.Sequence):  # type: ignore[misc]
    _fields = [("status", StatusInfos)]


class ErrorContent(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("status", StatusInfo),
        ("code", core.Integer, {"optional": True}),
        ("details", FreeText, {"optional": True}),
    ]


class CertStatus(core.Sequence):  # type: ignore[misc]
    _fields = [
        ("hash", core.OctetString),
        ("id", core.Integer),
        ("status", StatusInfo, {"optional": True}),
        ("hash_alg", Algorithm, {"explicit": 0, "optional": True}),
    ]


class CertConfirm(core.SequenceOf):  # type: ignore[misc]
    _child_spec = CertStatus


class PollRequest(core.Sequence):  # type: ignore[misc]
    _fields = [("id", core.Integer)]


class PollReqContent(core.SequenceOf):  # type: ignore[misc]
    _child_spec = PollRequest


class PollReport(core.Sequence):  # type: ignore[misc]
    _fields = [("id", core.Integer), ("check_after", core.Integer), ("reason", FreeText, {"optional": True})]


class PollRepContent(core.SequenceOf):  # type: ignore[misc]
    _child_spec = PollReport


class CrlSource(core.Choice):  # type: ignore[misc]
    _alternatives = [
        ("dpn", x509.DistributionPointName, {"explicit": 0}),
        ("issuer", x509.GeneralNames, {"explicit": 1}),
    ]


class CrlStatus(core.Sequence):  # type: ignore[misc]
    _fields = [("source", CrlSource), ("this_update", x509.Time, {"optional": True})]


class CrlStatusList(core.SequenceOf):  # type: ignore[misc]
    _child_spec = CrlStatus


# PKIBody: what we read and write of its alternatives, each `[number] EXPLICIT`.
IR, IP, CR, CP, P10CR, KUR, KUP, RR, RP, PKICONF, GENM, GENP, ERROR, CERT_CONF, POLL_REQ, POLL_REP = (
    0, 1, 2, 3, 4, 7, 8, 11, 12, 19, 21, 22, 23, 24, 25, 26,
)  # fmt: skip
BODIES = {
    IR: CertReqMessages,
    CR: CertReqMessages,
    P10CR: csr.CertificationRequest,
    KUR: CertReqMessages,
    RR: RevReqContent,
    ERROR: ErrorContent,
    CERT_CONF: CertConfirm,
    POLL_REQ: PollReqContent,
}
ANSWERS = {IR: IP, CR: CP, P10CR: CP, KUR: KUP}
