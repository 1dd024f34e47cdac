"""Attacks on the CMS signature, its algorithms, certificates, keys, and on time: what stands in the hole is another thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from asn1crypto import algos, cms
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.attacks.increments import hole, message, replace_hole
from tests.attacks.specimens import Attack, Specimens
from tests.verify.verify_world import (
    NOW,
    POLICY,
    SIGNED_AT,
    SIGNER_EXTENSIONS,
    UNIT_EXTENSIONS,
    YEAR,
    Holder,
    World,
    ca_extensions,
    document,
    issue,
    ocsp_response,
    policies,
    rsa_key,
    usage,
)

NO = "TOTAL-FAILED"
OPEN = "INDETERMINATE"
Edit = Callable[[Any, Specimens], None]  # takes the SignedData


def _message(data: bytes) -> Any:
    return cms.ContentInfo.load(hole(data))


def _edited(specimens: Specimens, edit: Edit, base: str = "signed") -> bytes:
    data = specimens[base]
    info = _message(data)
    signed = info["content"]
    edit(signed, specimens)
    return replace_hole(data, cms.ContentInfo({"content_type": "signed_data", "content": signed}).dump(force=True))


def _attributes(edit: Callable[[list[Any]], list[Any]]) -> Edit:
    def change(signed: Any, _: Specimens) -> None:
        signer = signed["signer_infos"][0]
        signer["signed_attrs"] = cms.CMSAttributes(edit(list(signer["signed_attrs"])))

    return change


def _without(kind: str) -> Edit:
    return _attributes(lambda every: [one for one in every if one["type"].native != kind])


def _twice(kind: str) -> Edit:
    return _attributes(lambda every: every + [one for one in every if one["type"].native == kind])


def _value(kind: str, value: Any) -> Edit:
    def edit(every: list[Any]) -> list[Any]:
        kept = [one for one in every if one["type"].native != kind]
        return [*kept, cms.CMSAttribute({"type": kind, "values": [value]})]

    return _attributes(edit)


def _signer(key: str, value: Any) -> Edit:
    def change(signed: Any, _: Specimens) -> None:
        signed["signer_infos"][0][key] = value

    return change


def _no_attributes(signed: Any, _: Specimens) -> None:
    signer = signed["signer_infos"][0]
    kept = ("version", "sid", "digest_algorithm", "signature_algorithm", "signature")
    signed["signer_infos"] = cms.SignerInfos([cms.SignerInfo({key: signer[key] for key in kept})])


def _two_signers(signed: Any, _: Specimens) -> None:
    signed["signer_infos"] = cms.SignerInfos([signed["signer_infos"][0], signed["signer_infos"][0].copy()])


def _no_signers(signed: Any, _: Specimens) -> None:
    signed["signer_infos"] = cms.SignerInfos([])


def _no_certificates(signed: Any, _: Specimens) -> None:
    signed["certificates"] = cms.CertificateSet([])


def _other_certificate(signed: Any, specimens: Specimens) -> None:
    """The certificate of somebody else, of the same name, issuer and number."""
    world = specimens.world
    twin = issue(
        world.signer.certificate.subject,
        world.issuing,
        SIGNER_EXTENSIONS,
        serial=world.signer.certificate.serial_number,
    )
    signed["certificates"] = cms.CertificateSet([cms.CertificateChoices("certificate", twin.asn1)])


def _content_inside(signed: Any, _: Specimens) -> None:
    signed["encap_content_info"] = {"content_type": "data", "content": b"SPECIMEN forged"}


def _content_type_inside(signed: Any, _: Specimens) -> None:
    signed["encap_content_info"] = {"content_type": "signed_data"}


def _last_octet(signed: Any, _: Specimens) -> None:
    signer = signed["signer_infos"][0]
    value = bytearray(signer["signature"].native)
    value[-1] ^= 1
    signer["signature"] = bytes(value)


_EDITS: dict[str, tuple[str, Edit, str, str, str]] = {
    "no-digest": ("messageDigest is left out", _without("message_digest"), NO, "FORMAT_FAILURE", "CMS-ATTRIBUTES"),
    "no-content-type": ("contentType is left out", _without("content_type"), NO, "FORMAT_FAILURE", "CMS-ATTRIBUTES"),
    "no-certificate-attribute": ("signingCertificateV2 is left out", _without("signing_certificate_v2"), NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
    "no-attributes": ("no signed attributes", _no_attributes, NO, "FORMAT_FAILURE", "CMS-ATTRIBUTES"),
    "digest-twice": ("messageDigest stands twice", _twice("message_digest"), NO, "FORMAT_FAILURE", "CMS-ATTRIBUTES"),
    "content-type-twice": ("contentType stands twice", _twice("content_type"), NO, "FORMAT_FAILURE", "CMS-ATTRIBUTES"),
    "other-digest": ("messageDigest is another one", _value("message_digest", bytes(32)), NO, "HASH_FAILURE", "CMS-HASH"),
    "short-digest": ("messageDigest is cut off", _value("message_digest", bytes(4)), NO, "HASH_FAILURE", "CMS-HASH"),
    "other-content-type": ("contentType is another one", _value("content_type", "tst_info"), NO, "FORMAT_FAILURE", "CMS-CONTENT-TYPE"),
    "content-type-inside": ("eContentType is another one", _content_type_inside, NO, "FORMAT_FAILURE", "CMS-CONTENT-TYPE"),
    "sha1": ("the digest algorithm is SHA-1", _signer("digest_algorithm", algos.DigestAlgorithm({"algorithm": "sha1"})), NO, "HASH_FAILURE", "CMS-HASH"),
    "md5": ("the digest algorithm is MD5", _signer("digest_algorithm", algos.DigestAlgorithm({"algorithm": "md5"})), OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "CMS-DIGEST-ALGORITHM"),
    "sha512": ("the digest algorithm is another one", _signer("digest_algorithm", algos.DigestAlgorithm({"algorithm": "sha512"})), NO, "HASH_FAILURE", "CMS-HASH"),
    "signature-sha1": ("the signature algorithm is ECDSA with SHA-1", _signer("signature_algorithm", algos.SignedDigestAlgorithm({"algorithm": "sha1_ecdsa"})), OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "CMS-ALGORITHM"),
    "signature-sha384": ("the signature algorithm is another one", _signer("signature_algorithm", algos.SignedDigestAlgorithm({"algorithm": "sha384_ecdsa"})), OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "CMS-ALGORITHM"),
    "signature-rsa": ("the signature algorithm is RSA", _signer("signature_algorithm", algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa"})), NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
    "signature-dsa": ("the signature algorithm is DSA", _signer("signature_algorithm", algos.SignedDigestAlgorithm({"algorithm": "sha256_dsa"})), OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "CMS-ALGORITHM"),
    "signature-ed25519": ("the signature algorithm is Ed25519", _signer("signature_algorithm", algos.SignedDigestAlgorithm({"algorithm": "ed25519"})), NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
    "signature-zero": ("the signature is zeros", _signer("signature", bytes(64)), NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
    "signature-empty": ("the signature is empty", _signer("signature", b""), NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
    "signature-one": ("r and s are one", _signer("signature", bytes.fromhex("3006020101020101")), NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
    "signature-null": ("r and s are zero", _signer("signature", bytes.fromhex("3006020100020100")), NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
    "signature-octet": ("one octet of the signature", _last_octet, NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
    "two-signers": ("two signers", _two_signers, NO, "FORMAT_FAILURE", "CMS-SIGNERS"),
    "no-signers": ("no signer", _no_signers, NO, "FORMAT_FAILURE", "CMS-SIGNERS"),
    "no-certificates": ("no certificates", _no_certificates, OPEN, "NO_SIGNING_CERTIFICATE_FOUND", "CMS-CERTIFICATE"),
    "other-certificate": ("a certificate of the same name and number", _other_certificate, NO, "SIG_CRYPTO_FAILURE", "CMS-SIGNATURE"),
}  # fmt: skip


def _replaced(contents: Callable[[Specimens], bytes]) -> Callable[[Specimens], bytes]:
    return lambda specimens: replace_hole(specimens["signed"], contents(specimens))


_CONTENTS: dict[str, tuple[str, Callable[[Specimens], bytes], str, str, str]] = {
    "other-document": ("the signature of another document", lambda s: message(s.other), NO, "HASH_FAILURE", "CMS-HASH"),
    "timestamp": ("a timestamp token", lambda s: message(s["archive"], 1), NO, "FORMAT_FAILURE", "CMS-CONTENT-TYPE"),
    "certificate": ("a certificate", lambda s: s.world.signer.der, NO, "FORMAT_FAILURE", "CMS-FORM"),
    "noise": ("noise", lambda _: b"SPECIMEN", NO, "FORMAT_FAILURE", "CMS-FORM"),
    "null": ("a null", lambda _: b"\x05\x00", NO, "FORMAT_FAILURE", "CMS-FORM"),
    "data": ("content that is not signed", lambda _: cms.ContentInfo({"content_type": "data", "content": b"x"}).dump(), NO, "FORMAT_FAILURE", "CMS-FORM"),
    "cut-off": ("a signature that is cut off", lambda s: hole(s["signed"])[:500], NO, "FORMAT_FAILURE", "CMS-FORM"),
    "something-behind": ("something behind the signature", lambda s: message(s["signed"]) + b"\x01", NO, "FORMAT_FAILURE", "CMS-FORM"),
}  # fmt: skip


# --- certificates: a document that is really signed, by a key that may not


def _by(make: Callable[[World], Holder], **more: Any) -> Callable[[Specimens], bytes]:
    def signed(specimens: Specimens) -> bytes:
        world = specimens.world
        holder = make(world)
        at = SIGNED_AT + timedelta(seconds=5)
        status = ocsp_response(holder, world.issuing, world.responder, this_update=at)
        return world.add_evidence(world.sign(document(), holder=holder, **more), ocsps=[status])

    return signed


def _issued(*extensions: Any, **more: Any) -> Callable[[World], Holder]:
    return lambda world: issue("SPECIMEN Signer", world.issuing, list(extensions) or SIGNER_EXTENSIONS, **more)


def _below_false_ca(world: World) -> Holder:
    """A signer's certificate that issues another."""
    return issue("SPECIMEN Forger", world.signer, SIGNER_EXTENSIONS)


def _own_root(world: World) -> Holder:
    root = issue(world.root.certificate.subject, None, ca_extensions())
    middle = issue(world.issuing.certificate.subject, root, ca_extensions(0))
    return issue(world.signer.certificate.subject, middle, SIGNER_EXTENSIONS)


_PLAIN = (x509.BasicConstraints(ca=False, path_length=None), True)
_UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.116.77"), b"\x05\x00"), True)
_CERTIFICATES: dict[str, tuple[str, Callable[[World], Holder], str, str]] = {
    "self-signed": ("a certificate that nobody issued", lambda w: issue(w.signer.certificate.subject, None, SIGNER_EXTENSIONS), "NO_CERTIFICATE_CHAIN_FOUND", "PATH-SIGNATURE"),
    "same-names": ("a whole chain of the same names", _own_root, "NO_CERTIFICATE_CHAIN_FOUND", "PATH-SIGNATURE"),
    "false-issuer": ("the issuer's name, another key", lambda w: issue("SPECIMEN Signer", None, SIGNER_EXTENSIONS, issuer_name=w.issuing.certificate.subject), "NO_CERTIFICATE_CHAIN_FOUND", "PATH-SIGNATURE"),
    "below-a-signer": ("issued by a signer", _below_false_ca, "CHAIN_CONSTRAINTS_FAILURE", "PATH-NOT-CA"),
    "no-usage": ("no key usage", _issued(_PLAIN, policies(POLICY)), "CHAIN_CONSTRAINTS_FAILURE", "SGN-USAGE"),
    "encryption-usage": ("a key for encryption", _issued(_PLAIN, (usage("key_encipherment"), True)), "CHAIN_CONSTRAINTS_FAILURE", "SGN-USAGE"),
    "ca-usage": ("a key for certificates", _issued(_PLAIN, (usage("key_cert_sign"), True)), "CHAIN_CONSTRAINTS_FAILURE", "SGN-USAGE"),
    "server": ("a web server's certificate", _issued(_PLAIN, (usage("digital_signature"), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)), "CHAIN_CONSTRAINTS_FAILURE", "SGN-PURPOSE"),
    "timestamping": ("a timestamping certificate", _issued(*UNIT_EXTENSIONS), "CHAIN_CONSTRAINTS_FAILURE", "SGN-PURPOSE"),
    "unknown-critical": ("a critical extension that nobody knows", _issued(*SIGNER_EXTENSIONS, _UNKNOWN), "CHAIN_CONSTRAINTS_FAILURE", "PATH-CRITICAL"),
    "expired": ("expired when it signed", _issued(not_before=NOW - 2 * YEAR, not_after=NOW - YEAR), "OUT_OF_BOUNDS_NO_POE", "PATH-EXPIRED"),
}  # fmt: skip


def _revoked(**more: Any) -> Callable[[Specimens], bytes]:
    def make(specimens: Specimens) -> bytes:
        world = specimens.world
        holder = issue("SPECIMEN Signer", world.issuing, SIGNER_EXTENSIONS)
        status = ocsp_response(
            holder, world.issuing, world.responder, this_update=SIGNED_AT + timedelta(seconds=5),
            revoked_at=SIGNED_AT - timedelta(days=1), reason=x509.ReasonFlags.key_compromise,
        )  # fmt: skip
        good = ocsp_response(holder, world.issuing, world.responder, this_update=SIGNED_AT, **more)
        return world.add_evidence(world.sign(document(), holder=holder), ocsps=[good, status])

    return make


# --- time


def _stamped(unit: Callable[[World], Holder], at: Any = SIGNED_AT) -> Callable[[Specimens], bytes]:
    def make(specimens: Specimens) -> bytes:
        world = specimens.world
        return world.add_evidence(world.sign(document(), unit=unit(world), stamped_at=at))

    return make


def _document_timestamp(contents: Callable[[Specimens], bytes]) -> Callable[[Specimens], bytes]:
    return lambda specimens: replace_hole(specimens["archive"], contents(specimens), 1)


def _unit(*extensions: Any, above: str = "tsa_ca") -> Callable[[World], Holder]:
    return lambda world: issue(
        "SPECIMEN TSU", getattr(world, above), list(extensions) or UNIT_EXTENSIONS, key=rsa_key()
    )


def _time() -> Iterator[Attack]:
    kind = "timestamp"
    rows: tuple[tuple[str, str, Any, str, str, str], ...] = (
        ("other-imprint", "the archive timestamp of another document", _document_timestamp(lambda s: message(s.world.timestamp(s.other, SIGNED_AT), 1)), NO, "HASH_FAILURE", "TST-IMPRINT"),
        ("signature-as-timestamp", "a signature as archive timestamp", _document_timestamp(lambda s: message(s["signed"])), NO, "FORMAT_FAILURE", "TST-FORM"),
        ("noise", "noise as archive timestamp", _document_timestamp(lambda _: b"SPECIMEN"), NO, "FORMAT_FAILURE", "CMS-FORM"),
        ("zeros", "an archive timestamp of zeros", _document_timestamp(lambda _: b""), NO, "FORMAT_FAILURE", "CMS-FORM"),
        ("untrusted-unit", "a unit that nobody trusts", _stamped(lambda _: issue("SPECIMEN TSU", None, UNIT_EXTENSIONS, key=rsa_key())), OPEN, "CHAIN_CONSTRAINTS_FAILURE", "PATH-NOT-CA"),
        ("no-purpose", "a unit without the purpose", _stamped(_unit(_PLAIN, (usage("digital_signature"), True))), OPEN, "CHAIN_CONSTRAINTS_FAILURE", "TST-PURPOSE"),
        ("more-purposes", "a unit with two purposes", _stamped(_unit(_PLAIN, (usage("digital_signature"), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CLIENT_AUTH]), True))), OPEN, "CHAIN_CONSTRAINTS_FAILURE", "TST-PURPOSE"),
        ("not-critical", "a unit whose purpose is not critical", _stamped(_unit(_PLAIN, (usage("digital_signature"), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), False))), OPEN, "CHAIN_CONSTRAINTS_FAILURE", "TST-PURPOSE"),
        ("future", "a timestamp of tomorrow", _stamped(_unit(), NOW + timedelta(days=1)), OPEN, "TIMESTAMP_ORDER_FAILURE", "TST-FUTURE"),
    )  # fmt: skip
    for name, what, make, indication, sub, rule in rows:
        yield Attack(f"time/{name}", kind, what, make, indication, sub, rule)


def attacks() -> Iterator[Attack]:
    for name, (what, edit, indication, sub, rule) in _EDITS.items():

        def make(specimens: Specimens, edit: Edit = edit) -> bytes:
            return _edited(specimens, edit)

        yield Attack(f"cms/{name}", "cms-substitution", what, make, indication, sub, rule)
    for name, (what, contents, indication, sub, rule) in _CONTENTS.items():
        yield Attack(f"contents/{name}", "cms-substitution", what, _replaced(contents), indication, sub, rule)
    for name, (what, maker, sub, rule) in _CERTIFICATES.items():
        yield Attack(f"certificate/{name}", "certificate-substitution", what, _by(maker), OPEN, sub, rule)
    for name, more in (("good-beside", {}), ("forged-good", {"tampered": True})):
        yield Attack(
            f"certificate/revoked-{name}",
            "certificate-substitution",
            "revoked before it signed",
            _revoked(**more),
            NO,
            "REVOKED",
            "REV-REVOKED",
        )
    yield from _time()
