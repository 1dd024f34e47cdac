"""What a client wants authorised and signed: digests that it made, or whole documents with the signature they get.

signatures/signDoc (v2.0.0.2 §11.11) names documents, or by documentDigests those that stay with the client, who gets
the whole signature (CAdES, PAdES). A SAD of SCAL2 is bound to exactly them, so the same objects go to
credentials/authorize and credentials/getChallenge, which the API leaves open (§11.6: ``hashes`` alone).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.canonical import canonical_json
from signing.csc import requests
from signing.csc.algorithms import DIGESTS
from signing.csc.errors import CscRefused
from signing.forms import CADES_DIGEST, PADES, PADES_DIGEST, Form, Format, Packaging
from signing.forms import DIGESTS as DIGEST_FORMS
from signing.model import Level
from signing.pdf_options import PdfOptions

MOST_DOCUMENTS = 20
_SIZES = frozenset(size for _, size in DIGESTS.values())

# signature_format and signed_envelope_property (§11.11); the first of each is what the API takes when none is named
_FORMS: Mapping[str, Mapping[str, Form]] = {
    "P": {"Certification": PADES, "Revision": PADES},
    "C": {"Attached": Form(Format.CADES, Packaging.ATTACHED), "Detached": Form(Format.CADES, Packaging.DETACHED)},
    "X": {
        "Enveloped": Form(Format.XADES, Packaging.ENVELOPED),
        "Enveloping": Form(Format.XADES, Packaging.ENVELOPING),
        "Detached": Form(Format.XADES, Packaging.DETACHED),
    },
    "J": {"Attached": Form(Format.JADES, Packaging.JSON)},
}
DETACHED = frozenset({Packaging.DETACHED, Packaging.DIGEST})
# the same for documentDigests: where the signature goes is the client's own doing
_DIGEST_FORMS: Mapping[str, tuple[Form, frozenset[str]]] = {
    "P": (PADES_DIGEST, frozenset({"Certification", "Revision"})),
    "C": (CADES_DIGEST, frozenset({"Detached"})),
}
# conformance_level (§11.11), in either spelling of the specification
_LEVELS = {
    **{f"ades-{level.value.lower()}": level for level in Level},
    **{f"ades-{level.value[2:].lower()}": level for level in Level},
}


@dataclass(frozen=True)
class DocumentWanted:
    """One document; ``data``: its octets, or its digest where the form says so. ``level`` None: the client named
    none."""

    name: str
    data: bytes
    form: Form
    level: Level | None
    certify: bool = False
    sign_algorithm: str = ""

    @property
    def options(self) -> PdfOptions:
        return PdfOptions.parse(certify="forms" if self.certify else None)

    def told(self) -> list[Any]:
        """What an authorisation is bound to."""
        level = self.level.value if self.level else None
        return [hashlib.sha256(self.data).hexdigest(), str(self.form), level, self.certify]


@dataclass(frozen=True)
class TakenDocuments:
    """Documents that were wanted and are taken in already, by their ids; ``subject``: of what the client sent."""

    subject: str
    documents: tuple[str, ...]
    level: Level | None
    digests: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Digests or documents, never both."""

    digests: tuple[bytes, ...] = ()
    documents: tuple[DocumentWanted, ...] = ()

    @property
    def count(self) -> int:
        return len(self.digests) or len(self.documents)

    @property
    def shown(self) -> tuple[bytes, ...]:
        """The digests that a person is shown: of documents that stay with the client too."""
        return self.digests or tuple(one.data for one in self.documents if one.form in DIGEST_FORMS)

    @property
    def level(self) -> Level | None:
        """The level of all documents. CscRefused where they are to have different ones."""
        levels = {one.level for one in self.documents}
        if len(levels) > 1:
            raise CscRefused("invalid_request", "the documents of one call have one conformance_level")
        return next(iter(levels), None)

    @property
    def subject(self) -> str:
        """One text for exactly this."""
        told: list[Any] = [one.hex() for one in self.digests] or [one.told() for one in self.documents]
        return hashlib.sha256(canonical_json(told)).hexdigest()


def wanted(body: dict[str, Any]) -> Wanted:
    """``documents``, ``documentDigests``, or ``hashes``. CscRefused for more than one of them, and for none."""
    if "documentDigests" in body:
        if {"documents", "hash", "hashes"} & set(body):
            raise CscRefused("invalid_request", "documentDigests stand alone in a call")
        return Wanted(documents=_digests(body["documentDigests"]))
    if "documents" not in body:
        digests = tuple(requests.hashes(body))
        if any(len(one) not in _SIZES for one in digests):
            raise CscRefused("invalid_request", "a digest has not the length of SHA-256, SHA-384 or SHA-512")
        return Wanted(digests=digests)
    if "hash" in body or "hashes" in body:
        raise CscRefused("invalid_request", "both hashes and documents are there")
    entries = body["documents"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_DOCUMENTS:
        raise CscRefused("invalid_request", f"documents is not a list of 1 to {MOST_DOCUMENTS}")
    return Wanted(documents=tuple(_document(number, one) for number, one in enumerate(entries, 1)))


def _digests(entries: Any) -> tuple[DocumentWanted, ...]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_DOCUMENTS:
        raise CscRefused("invalid_request", f"documentDigests is not a list of 1 to {MOST_DOCUMENTS}")
    found: list[DocumentWanted] = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise CscRefused("invalid_request", "an entry of documentDigests is not an object")
        form, envelopes = _DIGEST_FORMS.get(requests.text(entry, "signature_format"), (None, frozenset[str]()))
        if form is None:
            raise CscRefused("invalid_request", "signature_format of documentDigests is not one of P and C")
        envelope = requests.text(entry, "signed_envelope_property", required=False)
        if envelope and envelope not in envelopes:
            raise CscRefused("invalid_request", "signed_envelope_property is not one that this format has here")
        level = _level(entry)
        if level is not None and not form.highest.includes(level):
            raise CscRefused("invalid_request", f"conformance_level over digests is at most Ades-{form.highest}")
        algorithm, sign_algorithm = requests.digest_algorithm(entry, required=True), requests.text(entry, "signAlgo")
        for digest in requests.hashes(entry):
            if algorithm is None or len(digest) != DIGESTS[algorithm][1]:
                raise CscRefused("invalid_request", "a digest has not the length of its hashAlgorithmOID")
            name = f"digest-{len(found) + 1}"
            found.append(DocumentWanted(name, digest, form, level, sign_algorithm=sign_algorithm))
    if len(found) > MOST_DOCUMENTS:
        raise CscRefused("invalid_request", f"documentDigests has more than {MOST_DOCUMENTS} digests")
    return tuple(found)


def _level(entry: dict[str, Any]) -> Level | None:
    if entry.get("signed_props"):
        raise CscRefused("invalid_request", "signed_props are not taken")
    named = requests.text(entry, "conformance_level", required=False)
    level = _LEVELS.get(named.lower()) if named else None
    if named and level is None:
        raise CscRefused("invalid_request", "conformance_level is none of the API's")
    return level


def _document(number: int, entry: Any) -> DocumentWanted:
    if not isinstance(entry, dict):
        raise CscRefused("invalid_request", "a document is not an object")
    forms = _FORMS.get(requests.text(entry, "signature_format"))
    if forms is None:
        raise CscRefused("invalid_request", "signature_format is not one of P, C, X and J")
    envelope = requests.text(entry, "signed_envelope_property", required=False) or next(iter(forms))
    if envelope not in forms:
        raise CscRefused("invalid_request", "signed_envelope_property is not one that this format has here")
    level = _level(entry)
    return DocumentWanted(
        name=requests.text(entry, "document_name", required=False)[:200] or f"document-{number}",
        data=requests.octets(entry.get("document"), "document", longest=None),
        form=forms[envelope],
        level=level,
        certify=envelope == "Certification",
        sign_algorithm=requests.text(entry, "signAlgo"),
    )
