"""A second checker: proves again, with `cryptography` and `asn1crypto` alone, what a pass says that it relied on.

It shares no code with the verifier. From the octets of the document and of the bundle it takes every certificate, list,
response and timestamp, by digest, and asks of what the verdict lists:

    1  each of them exists, in the document or in the bundle, under the digest that is named
    2  the certificates of each purpose are a chain, from the leaf to an anchor of the bundle, each signed by the next
    3  each status is signed by the issuer of whom it speaks, or by a responder that the issuer certified, and is good
    4  each timestamp is a token whose signature verifies under a certificate that is relied on for timestamps
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from io import BytesIO
from typing import Any

import pikepdf
from asn1crypto import cms, core, parser, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509 import ocsp


class NotProven(AssertionError):
    """What the verdict relied on could not be proved again."""


def prove(pdf: bytes, bundle: bytes, relied_on: list[dict[str, Any]]) -> int:
    """Prove a signature's ``relied_on``; gives how many things were proved. Raises NotProven."""
    found = {hashlib.sha256(one).hexdigest(): one for one in _everything(pdf, bundle)}
    for one in relied_on:  # 1
        if one["sha256"] not in found:
            raise NotProven(f"{one['kind']} {one['what']} is nowhere")
    named = [one for one in relied_on if one["kind"] in ("certificate", "anchor")]
    certificates = {one["sha256"]: x509.load_der_x509_certificate(found[one["sha256"]]) for one in named}
    proved = 0
    for purpose in {one["purpose"] for one in relied_on if one["kind"] == "certificate"}:  # 2
        chain = [certificates[one["sha256"]] for one in named if one["purpose"] == purpose]
        for lower, upper in _pairs(chain):
            lower.verify_directly_issued_by(upper)
            proved += 1
    everyone = [*certificates.values(), *_certificates(found.values())]
    for one in relied_on:
        octets = found[one["sha256"]]
        if one["kind"] == "crl":
            proved += _prove_list(x509.load_der_x509_crl(octets), list(certificates.values()), one["what"])
        elif one["kind"] == "ocsp":
            proved += _prove_response(ocsp.load_der_ocsp_response(octets), everyone)
        elif one["kind"] == "timestamp":
            proved += _prove_token(octets, list(certificates.values()))
    return proved


def _pairs(chain: list[x509.Certificate]) -> list[tuple[x509.Certificate, x509.Certificate]]:
    """Each certificate with its issuer. A purpose may stand there twice, for two units: chains end at an anchor."""
    pairs = []
    for one in chain:
        if one.subject == one.issuer:
            continue
        above = [other for other in chain if other.subject == one.issuer]
        if not above:
            raise NotProven(f"nobody issued {one.subject.rfc4514_string()}")
        pairs.append((one, above[0]))
    return pairs


def _prove_list(crl: x509.CertificateRevocationList, certificates: list[x509.Certificate], about: str) -> int:
    issuers = [one for one in certificates if one.subject == crl.issuer]
    if not any(crl.is_signature_valid(one.public_key()) for one in issuers):  # type: ignore[arg-type]
        raise NotProven("a list that nobody here signed")
    subjects = [one for one in certificates if one.subject.rfc4514_string() == about and one.issuer == crl.issuer]
    if not subjects or any(crl.get_revoked_certificate_by_serial_number(one.serial_number) for one in subjects):
        raise NotProven(f"the list does not say that {about} is good")
    return 1


def _prove_response(response: ocsp.OCSPResponse, certificates: list[x509.Certificate]) -> int:
    if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise NotProven("a response that does not say good")
    for responder in [*response.certificates, *certificates]:
        if _verifies(responder.public_key(), response.signature, response.tbs_response_bytes, "sha256"):
            issuers = [one for one in certificates if one.subject == responder.issuer]
            if not issuers and responder.subject != responder.issuer:
                raise NotProven("a responder that nobody issued")
            if issuers:
                responder.verify_directly_issued_by(issuers[0])
            return 1
    raise NotProven("a response that nobody here signed")


def _prove_token(octets: bytes, certificates: list[x509.Certificate]) -> int:
    signed: Any = cms.ContentInfo.load(octets)["content"]
    signer = signed["signer_infos"][0]
    info = signed["encap_content_info"]["content"]
    attributes = {one["type"].native: one["values"][0] for one in signer["signed_attrs"]}
    name = signer["digest_algorithm"]["algorithm"].native
    if attributes["message_digest"].native != hashlib.new(name, bytes(info)).digest():
        raise NotProven("a token whose digest is another one")
    tsp.TSTInfo.load(bytes(info))
    to_verify = core.SetOf(contents=signer["signed_attrs"].contents).dump()
    to_verify = b"\x31" + to_verify[1:]
    if not any(_verifies(one.public_key(), signer["signature"].native, to_verify, name) for one in certificates):
        raise NotProven("a token that nobody here signed")
    return 1


def _verifies(key: Any, signature: bytes, data: bytes, name: str) -> bool:
    algorithm = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[name]
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(algorithm))
        else:
            key.verify(signature, data, padding.PKCS1v15(), algorithm)
    except Exception:
        return False
    return True


def _everything(pdf: bytes, bundle: bytes) -> list[bytes]:
    """Every certificate, list, response and token of the document and the bundle."""
    found: list[bytes] = []
    with zipfile.ZipFile(BytesIO(bundle)) as archive:
        found += [archive.read(name) for name in archive.namelist()]
    with pikepdf.open(BytesIO(pdf)) as document:
        store = document.Root.get("/DSS", {})
        for key in ("/Certs", "/CRLs", "/OCSPs"):
            found += [one.read_bytes() for one in store.get(key, [])]
    for before, after in re.findall(rb"/ByteRange\s*\[\s*0\s+(\d+)\s+(\d+)", pdf):
        contents = bytes.fromhex(pdf[int(before) + 1 : int(after) - 1].decode())
        found += _inside(contents[: parser.peek(contents)])  # zeros follow; a signature can end with one too
    return found


def _inside(octets: bytes) -> list[bytes]:
    """A CMS message, its certificates, and the tokens it carries with theirs."""
    signed: Any = cms.ContentInfo.load(octets)["content"]
    found = [octets, *(one.chosen.dump() for one in signed["certificates"])]
    for attribute in signed["signer_infos"][0]["unsigned_attrs"] or ():
        if attribute["type"].native == "signature_time_stamp_token":
            for value in attribute["values"]:
                found += _inside(value.dump())
    return found


def _certificates(every: Any) -> list[x509.Certificate]:
    found = []
    for octets in every:
        try:
            found.append(x509.load_der_x509_certificate(octets))
        except ValueError:
            continue
    return found
