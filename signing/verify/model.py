"""The verdict as a value: indications, reasons, and what a pass relied on (ETSI EN 319 102-1 §5.1.3).

A reason says which rule of ours spoke, which clause it implements, and what it means for the indication; the worst
reason decides. Sentences come from the catalogue, in both languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from foundation.catalogue import Language, hint, text
from foundation.clock import rfc3339


class Indication(StrEnum):
    """EN 319 102-1 Table 5."""

    TOTAL_PASSED = "TOTAL-PASSED"
    TOTAL_FAILED = "TOTAL-FAILED"
    INDETERMINATE = "INDETERMINATE"


_SEVERITY = {Indication.TOTAL_PASSED: 0, Indication.INDETERMINATE: 1, Indication.TOTAL_FAILED: 2}


class SubIndication(StrEnum):
    """EN 319 102-1 Table 6; those of ours come after, with the ETSI word that a report maps them to."""

    FORMAT_FAILURE = "FORMAT_FAILURE"
    HASH_FAILURE = "HASH_FAILURE"
    SIG_CRYPTO_FAILURE = "SIG_CRYPTO_FAILURE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    SIG_CONSTRAINTS_FAILURE = "SIG_CONSTRAINTS_FAILURE"
    CHAIN_CONSTRAINTS_FAILURE = "CHAIN_CONSTRAINTS_FAILURE"
    CERTIFICATE_CHAIN_GENERAL_FAILURE = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE = "CRYPTO_CONSTRAINTS_FAILURE"
    POLICY_PROCESSING_ERROR = "POLICY_PROCESSING_ERROR"
    SIGNATURE_POLICY_NOT_AVAILABLE = "SIGNATURE_POLICY_NOT_AVAILABLE"
    TIMESTAMP_ORDER_FAILURE = "TIMESTAMP_ORDER_FAILURE"
    NO_SIGNING_CERTIFICATE_FOUND = "NO_SIGNING_CERTIFICATE_FOUND"
    NO_CERTIFICATE_CHAIN_FOUND = "NO_CERTIFICATE_CHAIN_FOUND"
    REVOKED_NO_POE = "REVOKED_NO_POE"
    REVOKED_CA_NO_POE = "REVOKED_CA_NO_POE"
    OUT_OF_BOUNDS_NOT_REVOKED = "OUT_OF_BOUNDS_NOT_REVOKED"
    OUT_OF_BOUNDS_NO_POE = "OUT_OF_BOUNDS_NO_POE"
    REVOCATION_OUT_OF_BOUNDS_NO_POE = "REVOCATION_OUT_OF_BOUNDS_NO_POE"
    CRYPTO_CONSTRAINTS_FAILURE_NO_POE = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    NO_POE = "NO_POE"
    TRY_LATER = "TRY_LATER"
    SIGNED_DATA_NOT_FOUND = "SIGNED_DATA_NOT_FOUND"
    GENERIC = "GENERIC"
    # CamTrust's own, never in an ETSI report
    NO_SIGNATURE = "NO_SIGNATURE"
    BUNDLE_INVALID = "BUNDLE_INVALID"
    BUNDLE_NOT_PINNED = "BUNDLE_NOT_PINNED"
    BUNDLE_ROLLED_BACK = "BUNDLE_ROLLED_BACK"
    BUNDLE_STALE = "BUNDLE_STALE"
    CLOCK_BEFORE_BUNDLE = "CLOCK_BEFORE_BUNDLE"

    @property
    def etsi(self) -> SubIndication | None:
        """The word that EN 319 102-1 has for it; None for NO_SIGNATURE, which it has none for."""
        return _ETSI.get(self, self)


_ETSI: Mapping[SubIndication, SubIndication | None] = {
    SubIndication.NO_SIGNATURE: None,
    SubIndication.BUNDLE_INVALID: SubIndication.NO_CERTIFICATE_CHAIN_FOUND,
    SubIndication.BUNDLE_NOT_PINNED: SubIndication.NO_CERTIFICATE_CHAIN_FOUND,
    SubIndication.BUNDLE_ROLLED_BACK: SubIndication.TRY_LATER,
    SubIndication.BUNDLE_STALE: SubIndication.TRY_LATER,
    SubIndication.CLOCK_BEFORE_BUNDLE: SubIndication.TRY_LATER,
}


class About(StrEnum):
    """Whose part of a signature is spoken of, where the same can be said of more than one."""

    SIGNER = "signer"
    UNIT = "timestamping unit"
    TIMESTAMP = "timestamp"

    @property
    def key(self) -> str:
        """The sentence that puts it before another one."""
        return f"signing.verify_about_{self.name.lower()}"


@dataclass(frozen=True)
class Reason:
    """One thing that was found. ``indication`` TOTAL_PASSED: it speaks for the signature, or only informs.

    ``key`` names the sentence (``signing.verify_…`` or ``signing.bundle_…``); ``params`` fill it. ``about``: whose it
    is, said before the sentence.
    """

    rule: str
    clause: str
    key: str
    indication: Indication = Indication.TOTAL_PASSED
    sub_indication: SubIndication | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    about: About | None = None

    def message(self, language: Language) -> str:
        sentence = text(self.key, language, **self.params)
        return text(self.about.key, language, sentence=sentence) if self.about else sentence

    def hint(self, language: Language) -> str:
        return hint(self.key, language, **self.params)

    def json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "clause": self.clause,
            "outcome": self.indication.value,
            "sub_indication": self.sub_indication.value if self.sub_indication else None,
            "message_en": self.message(Language.EN),
            "message_km": self.message(Language.KM),
            "hint_en": self.hint(Language.EN),
            "hint_km": self.hint(Language.KM),
        }


def failed(rule: str, clause: str, key: str, sub: SubIndication, /, **params: str) -> Reason:
    """A reason for TOTAL-FAILED."""
    return Reason(rule, clause, f"signing.{key}", Indication.TOTAL_FAILED, sub, params)


def indeterminate(rule: str, clause: str, key: str, sub: SubIndication, /, **params: str) -> Reason:
    """A reason for INDETERMINATE."""
    return Reason(rule, clause, f"signing.{key}", Indication.INDETERMINATE, sub, params)


def noted(rule: str, clause: str, key: str, /, **params: str) -> Reason:
    """A reason that speaks for the signature, or only informs."""
    return Reason(rule, clause, f"signing.{key}", params=params)


def worst(reasons: Iterable[Reason]) -> tuple[Indication, SubIndication | None]:
    """The indication that the reasons add up to: the worst, and the first among the equally bad."""
    indication, sub = Indication.TOTAL_PASSED, None
    for reason in reasons:
        if _SEVERITY[reason.indication] > _SEVERITY[indication]:
            indication, sub = reason.indication, reason.sub_indication
    return indication, sub


def about(part: About, reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The reasons, each saying that it is about this part."""
    return tuple(replace(reason, about=part) for reason in reasons)


def distinct(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The reasons in their order, each said once: of those that say the same of the same, the first of the worst."""
    kept: dict[tuple[object, ...], Reason] = {}
    for reason in reasons:
        said = (reason.rule, reason.key, tuple(sorted(reason.params.items())), reason.about)
        if said not in kept or _SEVERITY[kept[said].indication] < _SEVERITY[reason.indication]:
            kept.pop(said, None)
            kept[said] = reason
    return tuple(kept.values())


class SignatureKind(StrEnum):
    SIGNATURE = "signature"
    DOCUMENT_TIMESTAMP = "document-timestamp"
    COUNTER_SIGNATURE = "counter-signature"  # one that signs another signature
    CERTIFICATE = "certificate"  # one that came alone: no signature
    PAPER = "paper"  # a code that was printed with a document


SIGNED = frozenset({SignatureKind.SIGNATURE, SignatureKind.COUNTER_SIGNATURE})
"""The kinds that somebody answers for."""


class Reliance(StrEnum):
    """Can I rely on this?"""

    YES = "yes"
    NO = "no"
    NOT_YET = "not-yet"


RELIANCE = {
    Indication.TOTAL_PASSED: Reliance.YES,
    Indication.TOTAL_FAILED: Reliance.NO,
    Indication.INDETERMINATE: Reliance.NOT_YET,
}


@dataclass(frozen=True)
class ReliedOn:
    """Something that a verdict rests on, so that a second checker can prove it again.

    ``kind``: certificate, anchor, crl, ocsp, timestamp; ``purpose``: what for; ``source``: document, bundle, hand.
    """

    kind: str
    purpose: str
    what: str
    source: str
    sha256: str
    at: datetime | None = None


@dataclass(frozen=True)
class SignerIdentity:
    """The signing certificate, as a person would name it."""

    name: str
    subject: str
    issuer: str
    serial: str
    sha256: str


@dataclass(frozen=True)
class SignatureVerdict:
    """One signature. ``claimed_at`` is what the signer says; ``proved_at`` what a valid timestamp proves."""

    kind: SignatureKind
    field: str
    reasons: tuple[Reason, ...]
    signer: SignerIdentity | None = None
    level: str | None = None
    claimed_at: datetime | None = None
    proved_at: datetime | None = None
    coverage: str | None = None
    relied_on: tuple[ReliedOn, ...] = ()
    specimen: bool = False

    @property
    def indication(self) -> Indication:
        return worst(self.reasons)[0]

    @property
    def sub_indication(self) -> SubIndication | None:
        return worst(self.reasons)[1]

    def with_reasons(self, reasons: Sequence[Reason]) -> SignatureVerdict:
        """With these behind those that stand, each said once."""
        return replace(self, reasons=distinct((*self.reasons, *reasons)))

    def json(self) -> dict[str, Any]:
        """The object of the contract, with more beside it."""
        sub = self.sub_indication
        signer = self.signer
        return {
            "kind": self.kind.value,
            "field": self.field,
            "signer": signer.name if signer else None,
            "certificate": (
                {
                    "subject": signer.subject,
                    "issuer": signer.issuer,
                    "serial": signer.serial,
                    "sha256": signer.sha256,
                }
                if signer
                else None
            ),
            "level": self.level,
            "signing_time": rfc3339(self.claimed_at) if self.claimed_at else None,
            "timestamp": rfc3339(self.proved_at) if self.proved_at else None,
            "coverage": self.coverage,
            "indication": self.indication.value,
            "sub_indication": sub.value if sub else None,
            "etsi_sub_indication": sub.etsi.value if sub and sub.etsi else None,
            "specimen": self.specimen,
            "reasons": [reason.json() for reason in self.reasons],
            "relied_on": [
                {
                    "kind": one.kind,
                    "purpose": one.purpose,
                    "what": one.what,
                    "source": one.source,
                    "sha256": one.sha256,
                    "at": rfc3339(one.at) if one.at else None,
                }
                for one in self.relied_on
            ],
        }


@dataclass(frozen=True)
class FileVerdict:
    """One file: the worst of its signatures, and what concerns the file as a whole."""

    file: str
    format: str | None
    signatures: tuple[SignatureVerdict, ...]
    reasons: tuple[Reason, ...] = ()
    sha256: str | None = None  # of the file, hex, where it was asked for

    @property
    def _worst(self) -> tuple[Indication, SubIndication | None]:
        return worst((*self.reasons, *(reason for one in self.signatures for reason in one.reasons)))

    @property
    def indication(self) -> Indication:
        return self._worst[0]

    @property
    def sub_indication(self) -> SubIndication | None:
        return self._worst[1]

    @property
    def reliance(self) -> Reliance:
        return RELIANCE[self.indication]

    @property
    def specimen(self) -> bool:
        return any(one.specimen for one in self.signatures)

    def headline(self, language: Language) -> str:
        """Can I rely on this: yes, no or not yet. The first line of every answer."""
        if self.sub_indication is SubIndication.NO_SIGNATURE:
            return text("signing.verify_headline_unsigned", language)
        return text(self._headline, language)

    def advice(self, language: Language) -> str:
        """What to do: the hint of the reason that decided."""
        every = (*self.reasons, *(reason for one in self.signatures for reason in one.reasons))
        for reason in every:
            if (reason.indication, reason.sub_indication) == self._worst and reason.hint(language):
                return reason.hint(language)
        return hint(self._headline, language)

    @property
    def _headline(self) -> str:
        """A code that was printed vouches for its own words, never for the paper: that has a sentence of its own."""
        if self.reliance is Reliance.YES and any(one.kind is SignatureKind.PAPER for one in self.signatures):
            return "signing.verify_headline_code"
        return f"signing.verify_headline_{self.reliance.value.replace('-', '_')}"

    def json(self) -> dict[str, Any]:
        sub = self.sub_indication
        return {
            "file": self.file,
            "format": self.format,
            "indication": self.indication.value,
            "sub_indication": sub.value if sub else None,
            "reliance": self.reliance.value,
            "message_en": self.headline(Language.EN),
            "message_km": self.headline(Language.KM),
            "advice_en": self.advice(Language.EN),
            "advice_km": self.advice(Language.KM),
            "specimen": self.specimen,
            "reasons": [reason.json() for reason in self.reasons],
            "signatures": [one.json() for one in self.signatures],
        }
