"""Raising signatures that were made before: proven time, evidence, archive timestamps; and renewing those.

N1  what does not hold is not extended: our own verifier must find nothing that ends it                ExtensionRefused
N2  a signature without a timestamp gets one of its own; in a PDF, where nothing is rewritten, one of the document
N3  evidence for signers whose evidence is not complete, gathered after the proven time (`evidence`); a signer who was
    revoked meanwhile cannot be raised to B-LT, for nobody vouches for what was before
N4  evidence for the unit of every archive timestamp, so that the next one covers it                  (renewal)
N5  an archive timestamp over all of that
N6  our own verifier must find the level that was asked for, and nothing against it that was not there before
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.clock import Clock
from foundation.x509 import der
from signing.errors import (
    ExtensionRefused,
    LevelNotAllowed,
    NothingToExtend,
    SignatureNotAccepted,
    TimestampUnavailable,
)
from signing.evidence_record import HASH, ArchiveTimestamp, EvidenceRecord, tree_of
from signing.model import Level, Signatory
from signing.ports import StatusSource, TimestampAuthority
from signing.sign.envelope import Envelope
from signing.sign.evidence import Evidence, ValidationData, merged, unit_chain
from signing.sign.pades import PadesSigner
from signing.sign.reopened import Reopened, reopen
from signing.sign.revisions import Draft, add_validation_data
from signing.sign.signed_message import TimestampToken
from signing.sign.stamping import Stamping
from signing.verify import pdf_bytes
from signing.verify.cms import CmsMalformed, SignedMessage, read_message
from signing.verify.model import FileVerdict, Indication, Reason, SignatureKind
from signing.verify.pdf import PdfContent, PdfSignature, read_pdf
from signing.verify.pdf_parallel import messages_beside
from signing.verify.policy import STRICT
from signing.verify.signature import DigestOf
from signing.verify.signature_value import loaded
from signing.verify.timestamps import Timestamp, check_token
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file

_COMPLETE = {Level.B_LT.value, Level.B_LTA.value}
_UNKNOWN_BELOW_LT = {"REV-UNKNOWN", "PATH-NO-ISSUER"}


@dataclass(frozen=True)
class _Held:
    """A signature of a person or organisation: whether it carries its evidence, and tokens that prove its time."""

    certificates: tuple[x509.Certificate, ...]
    signer: x509.Certificate
    complete: bool
    tokens: tuple[TimestampToken, ...]


class Extender:
    """Extends signatures of every format. One for the process; it keeps nothing between calls."""

    def __init__(self, pades: PadesSigner, timestamps: TimestampAuthority, status: StatusSource, clock: Clock) -> None:
        self._pades = pades
        self._stamping = Stamping(timestamps, clock)
        self._evidence = Evidence(status, clock)
        self._clock = clock

    def extend(self, data: bytes, level: Level, *, password: str | None = None, detached: bytes | None = None) -> bytes:
        """The document with its signatures at ``level``; at B-LTA one more archive timestamp each time.

        ``detached``: what a signature is about, where that is not inside. Raises ExtensionRefused, NothingToExtend,
        LevelNotAllowed for B-B and what a format does not have, and what timestamps and status raise.
        """
        if not level.includes(Level.B_T):
            raise LevelNotAllowed(level=level.value)
        if pdf_bytes.is_pdf(data):
            return self._pdf(data, level, password)
        record = _record(data) if data[:1] == b"\x30" else None
        if record is not None:
            return self._renewed(record, level, detached)
        reopened = reopen(data, detached)
        if reopened is None:
            raise ExtensionRefused(rule="FMT-UNSIGNED")
        return self._file(data, reopened, level, detached)

    def record(self, documents: Sequence[bytes]) -> list[bytes]:
        """Evidence records (RFC 4998) for documents of any kind, by one timestamp for all. TimestampUnavailable."""
        return self.record_digests([hashlib.new(HASH, one).digest() for one in documents])

    def record_digests(self, leaves: Sequence[bytes]) -> list[bytes]:
        """The same for documents whose digests by `HASH` are at hand."""
        root, trees = tree_of(leaves)
        token = self._stamping.imprint(root).der
        return [EvidenceRecord((ArchiveTimestamp(tree, token),)).encode() for tree in trees]

    def renew_records(self, records: Sequence[bytes]) -> list[bytes]:
        """Records that end with the same token, each with one more over it: one timestamp for all (RFC 4998 §5.2).

        ValueError for what is no record, or ends with another token; TimestampUnavailable.
        """
        read = [EvidenceRecord.parse(one) for one in records]
        imprints = {one.renewed() for one in read}
        if len(imprints) != 1:
            raise ValueError("records that end with the same token")
        token = self._stamping.imprint(imprints.pop()).der
        return [one.with_token(token).encode() for one in read]

    # --- files that are no PDF

    def _file(self, data: bytes, reopened: Sequence[Reopened], level: Level, detached: bytes | None) -> bytes:
        if any(not one.highest.includes(level) for one in reopened):
            raise LevelNotAllowed(level=level.value)
        known = (*dict.fromkeys(item for one in reopened for item in one.certificates), *self._stamping.above())
        before = self._verified(data, known, detached=detached)  # N1
        numbers = [place for place, one in enumerate(before.signatures) if one.kind is SignatureKind.SIGNATURE]
        if len(numbers) != len(reopened):
            raise ExtensionRefused(rule="FMT-UNSIGNED")
        grown = [self._grown(one, before, place, level, known) for one, place in zip(reopened, numbers, strict=True)]
        if level is not Level.B_LTA and not any(changed for _, changed in grown):
            raise NothingToExtend(level=level.value)
        envelope, *others = (one for one, _ in grown)
        for other in others:
            envelope = envelope.joined(other)
        if level is Level.B_LTA:
            envelope = envelope.archived(lambda imprint: self._stamping.imprint(imprint).der)  # N5
        extended = envelope.encode()
        self._accepted(extended, before, level, known, detached=detached)
        return extended

    def _grown(
        self, one: Reopened, before: FileVerdict, place: int, level: Level, known: Sequence[x509.Certificate]
    ) -> tuple[Envelope, bool]:
        """One signature below its archive timestamp, and whether anything was added to it."""
        envelope, changed = one.envelope, False
        over = envelope.timestamped()
        stamps = _tokens(one.stamps, lambda name: hashlib.new(name, over).digest())
        held = self._held(one.certificates, before, place, stamps)
        tokens = list(held.tokens)
        if not tokens:  # N2
            tokens.append(self._stamping.over(over))
            envelope, changed = envelope.with_timestamp(tokens[0].der), True
        if level.includes(Level.B_LT) and not held.complete:  # N3
            envelope, changed = envelope.with_evidence(self._gathered(held, tokens, known)), True
        if level is Level.B_LTA:
            units = [self._evidence.gather_unit(*_unit(token, known)) for token in one.archive]  # N4
            envelope = envelope.with_evidence(merged(units)) if units else envelope
        return envelope, changed

    # --- evidence records

    def _renewed(self, record: EvidenceRecord, level: Level, detached: bytes | None) -> bytes:
        """A record with one more timestamp, over the last; ``detached``: the document that it is about."""
        if level is not Level.B_LTA:
            raise NothingToExtend(level=Level.B_LTA.value)
        if detached is None:
            raise ExtensionRefused(rule="ERS-DETACHED")
        before, known = record.encode(), self._stamping.above()
        self._holds(before, known, detached)  # N1
        token = self._stamping.imprint(record.renewed()).der
        extended = record.with_token(token).encode()
        self._holds(extended, known, detached)  # N6
        return extended

    def _holds(self, record: bytes, known: Sequence[x509.Certificate], detached: bytes) -> None:
        now = self._clock.now()
        roots = [one for one in known if one.issuer == one.subject]
        verdict = verify_file(
            record, "record", build_trust(None, frozenset(), roots, now, STRICT), now, STRICT, detached=detached
        )
        for reason in _reasons(verdict):
            if reason.indication is Indication.TOTAL_FAILED:
                raise ExtensionRefused(rule=reason.rule)

    # --- PDF

    def _pdf(self, data: bytes, level: Level, password: str | None) -> bytes:
        secret = password.encode() if password is not None else None
        content = read_pdf(data, STRICT, secret)
        known = (*_certificates(content), *self._stamping.above())
        before = self._verified(data, known, password=secret)  # N1
        stamps = {one.field: _document_token(data, one) for one in content.signatures if one.is_timestamp}
        held = list(self._held_in(content, before, stamps))
        draft = Draft(data, password)
        unproven = [one for one in held if not one.tokens]
        proof = self._pades.archive(draft) if unproven else None  # N2
        open_ = [one for one in held if not one.complete]
        if (level is Level.B_T and proof is None) or (level is Level.B_LT and not open_):
            raise NothingToExtend(level=level.value)
        if level.includes(Level.B_LT):  # N3, N4
            gathered = [self._gathered(one, one.tokens or ((proof,) if proof else ()), known) for one in open_]
            if level is Level.B_LTA:
                tokens = [one for one in stamps.values() if one is not None]
                gathered += [self._evidence.gather_unit(one.unit, (*one.certificates, *known)) for one in tokens]
            if gathered:
                add_validation_data(draft, merged(gathered))
        if level is Level.B_LTA:
            self._pades.archive(draft)  # N5
        extended = draft.octets()
        if not extended.startswith(data):
            raise SignatureNotAccepted(check="SIGN-OUT-PREFIX")
        self._accepted(extended, before, level, known, password=secret)
        return extended

    def _held_in(
        self, content: PdfContent, before: FileVerdict, stamps: dict[str, TimestampToken | None]
    ) -> Iterator[_Held]:
        numbers = {one.field: number for number, one in enumerate(before.signatures)}
        for number, signature in enumerate(content.signatures):
            if signature.is_timestamp:
                continue
            try:
                message = read_message(signature.contents, padded=True)
                beside = messages_beside(signature.contents)
            except CmsMalformed as error:
                raise ExtensionRefused(rule=error.rule) from None
            found = [stamps[one.field] for one in content.signatures[number + 1 :] if one.is_timestamp]
            later = tuple(one for one in found if one is not None)
            yield self._of_field(message, before, numbers[signature.field], later)
            for place, other in enumerate(beside, 1):
                yield self._of_field(other, before, numbers[f"{signature.field}/parallel-{place}"], later)

    def _of_field(
        self, message: SignedMessage, before: FileVerdict, number: int, later: tuple[TimestampToken, ...]
    ) -> _Held:
        stamps = _tokens(message.timestamp_tokens, lambda name: hashlib.new(name, message.signature).digest())
        return self._held(message.certificates, before, number, (*stamps, *later))

    # --- both

    def _held(
        self,
        certificates: tuple[x509.Certificate, ...],
        before: FileVerdict,
        number: int,
        tokens: tuple[TimestampToken, ...],
    ) -> _Held:
        verdict = before.signatures[number]
        sha256 = verdict.signer.sha256 if verdict.signer else None
        own = [one for one in certificates if one.fingerprint(hashes.SHA256()).hex() == sha256]
        if not own:
            raise ExtensionRefused(rule="CMS-CERTIFICATE")
        return _Held(certificates, own[0], verdict.level in _COMPLETE, tokens)

    def _gathered(
        self, held: _Held, tokens: Sequence[TimestampToken], known: Sequence[x509.Certificate]
    ) -> ValidationData:
        """Evidence for a signer after the first proven time, and for the units of all tokens."""
        pool = (*held.certificates, *known)
        try:
            chain = unit_chain(held.signer, pool)
        except TimestampUnavailable:  # no way up from the signer
            raise ExtensionRefused(rule="PATH-NO-ISSUER") from None
        first = min(tokens, key=lambda one: one.time)
        found = [self._evidence.gather(Signatory("", held.signer, chain[1:]), first, pool)]
        found += [self._evidence.gather_unit(one.unit, (*one.certificates, *pool)) for one in tokens if one != first]
        return merged(found)

    def _verified(
        self,
        data: bytes,
        known: Sequence[x509.Certificate],
        *,
        password: bytes | None = None,
        detached: bytes | None = None,
    ) -> FileVerdict:
        """The verdict under the roots at hand alone; ExtensionRefused for what does not hold."""
        now = self._clock.now()
        roots = [one for one in dict.fromkeys(known) if one.issuer == one.subject]
        trust = build_trust(None, frozenset(), roots, now, STRICT)
        verdict = verify_file(data, "document", trust, now, STRICT, password=password, detached=detached)
        for reason in _reasons(verdict):
            if reason.indication is Indication.TOTAL_FAILED:
                raise ExtensionRefused(rule=reason.rule)
        if not any(one.kind is SignatureKind.SIGNATURE for one in verdict.signatures):
            rule = next((one.rule for one in verdict.reasons), "FMT-UNSIGNED")
            raise ExtensionRefused(rule=rule)
        return verdict

    def _accepted(
        self,
        extended: bytes,
        before: FileVerdict,
        level: Level,
        known: Sequence[x509.Certificate],
        *,
        password: bytes | None = None,
        detached: bytes | None = None,
    ) -> None:
        """N6."""
        after = self._verified(extended, known, password=password, detached=detached)
        allowed = _objections(before) | (set() if level.includes(Level.B_LT) else _UNKNOWN_BELOW_LT)
        if not _objections(after) <= allowed:
            raise SignatureNotAccepted(check="SIGN-OUT-SIGNATURE")
        levels = [Level(one.level) for one in after.signatures if one.kind is SignatureKind.SIGNATURE and one.level]
        if level.includes(Level.B_LT) and not all(one.includes(level) for one in levels):
            raise SignatureNotAccepted(check="SIGN-OUT-LEVEL")


def _record(data: bytes) -> EvidenceRecord | None:
    try:
        return EvidenceRecord.parse(data)
    except ValueError:
        return None


def _objections(verdict: FileVerdict) -> set[str]:
    return {one.rule for one in _reasons(verdict) if one.indication is not Indication.TOTAL_PASSED}


def _reasons(verdict: FileVerdict) -> Iterator[Reason]:
    yield from verdict.reasons
    for one in verdict.signatures:
        yield from one.reasons


def _unit(token: bytes, known: Sequence[x509.Certificate]) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """Whose token this is, and what to look for its issuers among."""
    message = read_message(token)
    return message.candidates[0], (*message.certificates, *known)


def _tokens(octets: Iterable[bytes], digest_of: DigestOf) -> tuple[TimestampToken, ...]:
    """The tokens that are well made, and about what they have to be about."""
    found = []
    for one in octets:
        checked = check_token(one, digest_of, STRICT)
        if isinstance(checked, Timestamp):
            found.append(TimestampToken(one, checked.time, checked.unit, checked.certificates))
    return tuple(found)


def _document_token(data: bytes, signature: PdfSignature) -> TimestampToken | None:
    """A document timestamp as a token; None for one that does not check out."""
    digest_of = partial(pdf_bytes.range_digest, data, signature.byte_range)
    checked = check_token(signature.contents, digest_of, STRICT, padded=True)
    if not isinstance(checked, Timestamp):
        return None
    token = signature.contents[: der.read(signature.contents)[2]]  # zeros fill the place behind it; it can end with one
    return TimestampToken(token, checked.time, checked.unit, checked.certificates)


def _certificates(content: PdfContent) -> tuple[x509.Certificate, ...]:
    """Every certificate in a PDF: in its store, and in its signatures."""
    messages = []
    for one in content.signatures:
        try:
            messages.append(read_message(one.contents, padded=True))
        except CmsMalformed:
            continue
    inside = (certificate for message in messages for certificate in message.certificates)
    return tuple(dict.fromkeys((*loaded(content.certificates), *inside)))
