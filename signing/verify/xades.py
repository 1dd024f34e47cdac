"""XML signatures with XAdES properties (EN 319 132-1), read strictly: the whole file is signed, or it fails.

X1  every Id in the document is there once                                                       XML-ID
X2  a signature is the document element, one of XAdESSignatures, right below the document element, or a counter
    signature in its place among the unsigned properties of another one                          XML-POSITION
X3  its elements are there once each, in their order, and none besides                           XML-FORM
X4  canonical forms, transforms and digests are of the short list that we make sense of          XML-TRANSFORM,
                                                                                                 XML-DIGEST-ALGORITHM
X5  a reference is to the whole document, to an object of this very signature, or to a file beside it; what an
    identifier finds elsewhere is never taken: there is nothing to wrap a signature around       XML-REFERENCE
    a counter signature is about the value of the signature that it stands in, and nothing else  XML-COUNTER
X6  digests are those of what is referenced                                                      XML-HASH
X7  one reference is to the signed properties of this signature, which name the certificate      XML-PROPERTIES,
                                                                                                 XML-CERTIFICATE
X8  nothing that a reader would see lies outside: around it, or in an object that is not referenced   XML-UNCOVERED
X9  the signature over the canonical SignedInfo verifies under that certificate's key            XML-SIGNATURE,
                                                                                                 XML-ALGORITHM
X10 an archive timestamp is over everything that is referenced, the signature, and the unsigned properties before it
    (EN 319 132-1 §5.5.2)                                                                        TST-IMPRINT
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import parse_rfc3339
from foundation.x509.signature_check import HASHES, Outcome
from signing.asic_container import ASIC, DIGEST_URIS, percent_decoded
from signing.strict_xml import Element
from signing.verify.cades_document import evidence_of
from signing.verify.model import (
    Indication,
    Reason,
    SignatureKind,
    SignatureVerdict,
    SubIndication,
    failed,
    indeterminate,
    noted,
    worst,
)
from signing.verify.policy import Policy
from signing.verify.signature import Claim, Known, Stamp, case_of, judge
from signing.verify.signature_value import loaded, signature_reasons, verify_value
from signing.verify.trust import Trust
from signing.verify.xades_archive import Archived, archived, covering, evidence_behind, read_archive
from signing.verify.xades_form import (
    Outside,
    Referenced,
    XmlMalformed,
    base64_octets,
    document_problem,
    elements,
    known,
    no_properties,
    not_supported,
    plain,
    plain_algorithm,
    refuse,
)
from signing.xmldsig import (
    BASE64,
    COUNTERSIGNED,
    ENVELOPED,
    INCLUSIVE,
    LOGS,
    OBJECT,
    SIGNATURE_METHODS,
    SIGNED_PROPERTIES,
    canonical,
    countersigned,
    ds,
    own_signatures,
    xades,
)

SIGNATURES = f"{{{ASIC}}}XAdESSignatures"
_MAX_SIGNATURES, _MAX_REFERENCES = 20, 1000
_MAX_STAMPS, _MAX_MATERIAL = 20, 500


def archive_imprint(root: Element, outside: Outside, policy: Policy, algorithm: str, name: str) -> bytes:
    """The digest that the next archive timestamp of the one signature in a file has to be over. XmlMalformed."""
    (element,) = own_signatures(root)
    signature = _Signature(root, element)
    signature.claim(policy, outside)
    return signature.archive_digest(algorithm, None, name)


def judge_signatures(
    root: Element, trust: Trust, at: datetime, policy: Policy, outside: Outside
) -> list[tuple[SignatureVerdict, tuple[str, ...]]]:
    """The verdicts on all signatures of a document, each with the names outside that it is about."""
    found: list[tuple[SignatureVerdict, tuple[str, ...]]] = []
    common = document_problem(root)
    signatures = list(root.iter(ds("Signature")))
    if len(signatures) > _MAX_SIGNATURES:
        common, signatures = refuse("XML-LIMIT").reason, signatures[:1]
    for signature in signatures:
        below = countersigned(signature)
        kind = SignatureKind.SIGNATURE if below is None else SignatureKind.COUNTER_SIGNATURE
        base = SignatureVerdict(kind, str(signature.get("Id") or "-")[:100], ())
        try:
            if common is not None:
                raise XmlMalformed(common)
            read = _Signature(root, signature)
            claim, evidence, certificates = read.claim(policy, outside)
        except XmlMalformed as error:
            found.append((base.with_reasons((error.reason,)), ()))
            continue
        case = case_of(at, policy, trust, certificates, evidence)
        verdict = judge(case, base, claim, Known(at))
        if below is not None:
            field = str(below.get("Id") or "-")[:100]
            verdict = verdict.with_reasons(
                (noted("XML-COUNTER", "EN 319 132-1 §5.2.7", "verify_counter", field=field),)
            )
        found.append((verdict, read.outside_names))
    return found


def whole_document_signer(root: Element, policy: Policy) -> x509.Certificate | None:
    """Who signed all of a document by its one enveloped signature, else None; trust is not judged. XmlMalformed."""
    found = list(root.iter(ds("Signature")))
    if len(found) != 1 or found[0].getparent() is not root or document_problem(root) is not None:
        return None
    claim, _, _ = _Signature(root, found[0]).claim(policy, lambda _: None)
    return None if claim.reasons else claim.signer


class _Signature:
    """One ds:Signature. Raises XmlMalformed where it is not of the form."""

    def __init__(self, root: Element, signature: Element) -> None:
        self._root, self._element = root, signature
        self._over: list[Referenced] = []
        self._below = countersigned(signature)
        self.outside_names: tuple[str, ...] = ()
        children = [one for one in signature if isinstance(one.tag, str)]  # X3
        tags = [one.tag for one in children]
        if tags[:3] != [ds("SignedInfo"), ds("SignatureValue"), ds("KeyInfo")] or set(tags[3:]) - {ds("Object")}:
            raise refuse("XML-FORM")
        self._info, self._value, self._key_info, *self._objects = children
        holders = [one for one in self._objects if one.find(xades("QualifyingProperties")) is not None]
        if len(holders) != 1:
            raise XmlMalformed(no_properties())
        self._holder = holders[0]
        qualifying, *others = elements(self._holder)
        parts = elements(qualifying)
        if others or qualifying.tag != xades("QualifyingProperties") or not signature.get("Id"):
            raise refuse("XML-FORM")
        if qualifying.get("Target") != f"#{signature.get('Id')}" or not parts:
            raise refuse("XML-PROPERTIES", "EN 319 132-1 §4.3")
        if [one.tag for one in parts] not in (
            [xades("SignedProperties")],
            [xades("SignedProperties"), xades("UnsignedProperties")],
        ):
            raise refuse("XML-PROPERTIES", "EN 319 132-1 §4.3")
        self._signed, self._unsigned = parts[0], parts[1] if len(parts) == 2 else None

    def claim(self, policy: Policy, outside: Outside) -> tuple[Claim, Any, tuple[x509.Certificate, ...]]:
        """X4 to X9, and the material that is inside."""
        canonicalisation, method, *references = elements(self._info)
        expected = [ds("CanonicalizationMethod"), ds("SignatureMethod")] + [ds("Reference")] * len(references)
        if [one.tag for one in elements(self._info)] != expected or not 1 < len(references) <= _MAX_REFERENCES:
            raise refuse("XML-FORM")
        algorithm = plain_algorithm(canonicalisation)
        checks = [self._reference(one, policy, outside) for one in references]
        self._covers(references)
        certificates = self._certificates()
        signer, objection = self._signer(certificates)
        reasons = [objection] if objection else []
        if signer is not None:
            reasons += self._verify(signer, canonical(self._info, algorithm), method.get("Algorithm"), policy)
        if worst(reasons)[0] is Indication.TOTAL_FAILED:  # what nobody signed is not looked up
            return Claim(signer, tuple(reasons), self._signing_time()), (), certificates
        reasons += [reason for check in checks for reason in check()]
        archive = read_archive(self._properties(), self.archive_digest)
        crls, ocsps = self._material("EncapsulatedCRLValue"), self._material("EncapsulatedOCSPValue")
        carried = loaded(self._material("EncapsulatedX509Certificate"))
        claim = Claim(
            signer,
            tuple(reasons),
            self._signing_time(),
            tuple(self._stamps(archive)),
            tuple(Stamp(one.token, one.digest_of, covering(archive, one.place)) for one in archive),
            archive_complete=bool(archive) and not evidence_behind(self._properties(), archive[-1]),
            log_proofs=tuple(proof for namespace in LOGS for proof in self._material("Proof", namespace))[:8],
        )
        return claim, evidence_of(ocsps, crls), (*certificates, *carried)

    # --- X4 to X6

    def _reference(self, reference: Element, policy: Policy, outside: Outside) -> Callable[[], tuple[Reason, ...]]:
        """X4, X5 at once; X6 when it is called."""
        parts = elements(reference)
        transforms = elements(parts.pop(0)) if parts and parts[0].tag == ds("Transforms") else []
        if [one.tag for one in parts] != [ds("DigestMethod"), ds("DigestValue")]:
            raise refuse("XML-FORM")
        chain = [plain_algorithm(one, transform=True) for one in transforms]
        hash_name = DIGEST_URIS.get(parts[0].get("Algorithm", ""))
        if hash_name not in policy.digests or hash_name is None:
            raise not_supported("XML-DIGEST-ALGORITHM")
        stated, found = base64_octets(parts[1].text), self._referenced(reference, chain, outside)
        self._over.append(found)

        def compared() -> tuple[Reason, ...]:
            if found.digest(hash_name) == stated:
                return ()
            sub = SubIndication.HASH_FAILURE
            return (failed("XML-HASH", "EN 319 102-1 §5.2.7.4", "verify_hash_failure", sub),)

        return compared

    def _referenced(self, reference: Element, chain: Sequence[str], outside: Outside) -> Referenced:
        """X5: what a reference is about."""
        uri, kind = reference.get("URI"), reference.get("Type")
        if uri is None or (kind == SIGNED_PROPERTIES and not uri.startswith("#")):
            raise refuse("XML-REFERENCE", "XML Signature 1.1 §4.4.3.1")
        if uri == "":
            if list(chain[:1]) != [ENVELOPED] or len(chain) > 2 or not self._inside_document():
                raise refuse("XML-REFERENCE")
            return self._nodes(self._without_signature, chain[1:])
        if uri.startswith("#"):
            return self._own(uri[1:], kind, chain)
        if chain:
            raise not_supported("XML-TRANSFORM")
        try:
            name = percent_decoded(uri)
        except ValueError:
            raise refuse("XML-REFERENCE") from None
        self.outside_names = (*self.outside_names, name)
        found = outside(name)
        if found is None:
            sub = SubIndication.SIGNED_DATA_NOT_FOUND
            raise XmlMalformed(indeterminate("XML-DETACHED", "EN 319 102-1 §5.2.7", "verify_detached", sub))
        return found

    def _own(self, identifier: str, kind: str | None, chain: Sequence[str]) -> Referenced:
        """A part of this signature, found by its place in it and by its Id."""
        if kind == SIGNED_PROPERTIES:
            target = self._signed
        elif kind == COUNTERSIGNED:
            target = self._below.find(ds("SignatureValue")) if self._below is not None else None
        else:
            mine = [one for one in (*self._objects, self._key_info) if one is not self._holder]
            target = next((one for one in mine if one.get("Id") == identifier), None)
            if kind not in (None, OBJECT):
                raise refuse("XML-REFERENCE", "XML Signature 1.1 §5.1")  # a manifest is not followed
        if target is None or target.get("Id") != identifier:
            raise refuse("XML-REFERENCE", "XML Signature 1.1 §4.4.3.2")
        if list(chain) == [BASE64]:
            if len(target):
                raise refuse("XML-TRANSFORM")
            return plain(base64_octets(target.text))
        if len(chain) > 1:
            raise not_supported("XML-TRANSFORM")
        return self._nodes(lambda: target, chain)

    def _nodes(self, find: Callable[[], Element], chain: Sequence[str]) -> Referenced:
        """Nodes: in the canonical form that the reference names; where it names none, they stay nodes."""
        algorithm = known(chain[0] if chain else INCLUSIVE)

        def octets(form: str) -> tuple[bytes, ...]:
            return (canonical(find(), algorithm if chain else form, comments=False),)

        return Referenced(lambda name: hashlib.new(name, *octets(algorithm)).digest(), octets)

    def _inside_document(self) -> bool:
        return self._below is None and self._element.getparent() is not None and self._root.tag != SIGNATURES

    def _without_signature(self) -> Element:
        """The document as it is without this signature (XML Signature 1.1 §6.6.4)."""
        number = list(self._root).index(self._element)
        tree = copy.deepcopy(self._root.getroottree())
        root = tree.getroot()
        gone = root[number]
        before, tail = gone.getprevious(), gone.tail or ""
        if before is not None:
            before.tail = (before.tail or "") + tail
        else:
            root.text = (root.text or "") + tail
        gone.tail = None
        root.remove(gone)
        return tree

    def _covers(self, references: Sequence[Element]) -> None:
        """X7, X8: the properties are signed, and what a reader of the file sees is."""
        kinds = [one.get("Type") for one in references]
        if kinds.count(SIGNED_PROPERTIES) != 1:
            raise XmlMalformed(no_properties())
        if self._below is not None and sorted(map(str, kinds)) != [COUNTERSIGNED, SIGNED_PROPERTIES]:
            raise refuse("XML-REFERENCE", "EN 319 132-1 §5.2.7.1")
        uris = [one.get("URI") for one in references]
        if len(set(uris)) != len(uris):
            raise refuse("XML-REFERENCE")
        unreferenced = [one for one in self._objects if one is not self._holder and f"#{one.get('Id')}" not in uris]
        if unreferenced or (self._inside_document() and "" not in uris):
            sub = SubIndication.FORMAT_FAILURE
            raise XmlMalformed(failed("XML-UNCOVERED", "camtrust contract", "verify_xml_uncovered", sub))

    # --- X7, X9

    def _certificates(self) -> tuple[x509.Certificate, ...]:
        return loaded([base64_octets(one.text) for one in self._key_info.iter(ds("X509Certificate"))][:100])

    def _signer(self, certificates: Sequence[x509.Certificate]) -> tuple[x509.Certificate | None, Reason | None]:
        own = self._signed.find(xades("SignedSignatureProperties"))
        named: list[tuple[str, bytes]] = []
        for kind in ("SigningCertificateV2", "SigningCertificate"):
            one = own.find(f"{xades(kind)}/{xades('Cert')}/{xades('CertDigest')}") if own is not None else None
            if one is not None:
                method, value = one.find(ds("DigestMethod")), one.find(ds("DigestValue"))
                if method is None or value is None:
                    raise refuse("XML-PROPERTIES", "EN 319 132-1 §5.2.2")
                named.append((DIGEST_URIS.get(method.get("Algorithm", ""), ""), base64_octets(value.text)))
        if not named:
            return None, no_properties()
        name, digest = named[0]
        if name in HASHES:
            for certificate in certificates:
                if hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest() == digest:
                    return certificate, None
        return None, indeterminate(
            "XML-CERTIFICATE",
            "EN 319 102-1 §5.2.3",
            "verify_no_signing_certificate",
            SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
        )

    def _verify(
        self, signer: x509.Certificate, octets: bytes, algorithm: str | None, policy: Policy
    ) -> tuple[Reason, ...]:
        known = SIGNATURE_METHODS.get(algorithm or "")
        outcome = Outcome.REFUSED
        if known is not None:
            outcome = verify_value(signer, *known, base64_octets(self._value.text), octets, policy)
        return signature_reasons(outcome, "XML")

    # --- what is not signed

    def _properties(self) -> list[Element]:
        """The unsigned signature properties, in their order."""
        own = self._unsigned.find(xades("UnsignedSignatureProperties")) if self._unsigned is not None else None
        return elements(own) if own is not None else []

    def _stamps(self, archive: Sequence[Archived]) -> Iterable[Stamp]:
        count = 0
        for place, element in enumerate(self._properties()):
            if element.tag != xades("SignatureTimeStamp"):
                continue
            method = element.find(ds("CanonicalizationMethod"))
            algorithm = plain_algorithm(method) if method is not None else INCLUSIVE
            over = canonical(self._value, algorithm)
            for token in element.iter(xades("EncapsulatedTimeStamp")):
                count += 1
                if count > _MAX_STAMPS:
                    raise refuse("XML-LIMIT")
                yield Stamp(base64_octets(token.text), plain(over).digest, covering(archive, place))

    def archive_digest(self, algorithm: str, place: int | None, name: str) -> bytes:
        """What an archive timestamp is over, hashed: ``place`` among the unsigned properties; None: behind all."""
        inside = [one for one in self._objects if one is not self._holder]
        own = (self._info, self._value, self._key_info, *self._properties()[:place], *inside)
        return archived(self._over, own, algorithm, name)

    def _material(self, name: str, namespace: str | None = None) -> list[bytes]:
        """The octets of every element of this name among the unsigned properties."""
        if self._unsigned is None:
            return []
        tag = xades(name) if namespace is None else f"{{{namespace}}}{name}"
        found = [base64_octets(one.text) for one in self._unsigned.iter(tag)]
        if len(found) > _MAX_MATERIAL:
            raise refuse("XML-LIMIT")
        return found

    def _signing_time(self) -> datetime | None:
        told = self._signed.findtext(f"{xades('SignedSignatureProperties')}/{xades('SigningTime')}")
        try:
            return parse_rfc3339(told.strip()) if told else None
        except ValueError:
            return None
