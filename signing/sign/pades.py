"""A PAdES signature from end to end: prepare, have the digest signed, complete (EN 319 142-1).

prepare   open strictly, placeholder, byte range digest, signed attributes  →  the digest to be authorised (DTBS/R)
sign      the key store signs that digest, and nothing else; the signature is verified
complete  SignedData, signature timestamp, THEN status, security store, document timestamp; then our own check
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.clock import Clock
from foundation.errors import CamTrustError, NotImplementedYet
from foundation.randomness import Randomness
from signing.errors import (
    CertificationNotFirst,
    CredentialNotUsable,
    DocumentLocked,
    LogProofUnavailable,
    NoPlaceForSignature,
    OptionInvalid,
    SignatureFieldConstraint,
    SignatureNotAccepted,
    TemplateUnknown,
    TimestampUnavailable,
)
from signing.model import Level, Signatory, SignatureText
from signing.parallel_signatures import Attributes, Partner, announcing
from signing.pdf_options import PdfOptions, Visible, Where
from signing.ports import LogProofs, SignsDigests, StatusSource, TimestampAuthority
from signing.sign import cms, revisions
from signing.sign.acceptance import accept
from signing.sign.evidence import Evidence, merged
from signing.sign.field import Spot, area_of, covers, field_lock, rotation_of
from signing.sign.intake import MIB, Opened, check_field, open_pdf, told
from signing.sign.pdf_beside import Beside
from signing.sign.seed_values import follow
from signing.sign.signed_message import TimestampToken, read_token
from signing.sign.token_signer import SigningAlgorithm, sign_digests, signing_algorithm
from signing.templates.appearance import Appearance

_TIMESTAMP_HASH = "sha256"
_ROOM_FOR_STRUCTURE = 2048
_ROOM_FOR_ATTRIBUTE = 64
_ROOM_FOR_TOKEN = 4096  # the token without the certificates above its unit's; RSA-4096 throughout still fits
_KEPT_ALGORITHMS = 1024
_SMALLEST_FIELD = 10.0  # points; in less there is nothing to be read
_PLAIN = PdfOptions()


@dataclass(frozen=True)
class Stamps:
    """What visible signatures are drawn with: the folder of the fonts, and where their QR codes lead."""

    fonts: Path
    address: str


@dataclass(frozen=True)
class Prepared:
    """A document that waits for its signature. ``digest`` is what the signer authorises: the DTBS/R, the hash of the
    signed attributes, in which the document's own digest stands."""

    signatory: Signatory
    algorithm: SigningAlgorithm
    level: Level
    placeholder: revisions.Placeholder
    attributes: bytes
    digest: bytes
    log_proof: bytes | None
    parallel: Beside | None = None

    @property
    def original(self) -> bytes:
        """The document as it came."""
        return self.placeholder.draft.original


class PadesSigner:
    """Makes PAdES signatures. One for the process; it keeps nothing between calls."""

    def __init__(
        self,
        keys: SignsDigests,
        timestamps: TimestampAuthority,
        status: StatusSource,
        clock: Clock,
        randomness: Randomness,
        text: SignatureText | None = None,
        limit: int = 50 * MIB,
        logs: LogProofs | None = None,
        stamps: Stamps | None = None,
    ) -> None:
        """``logs``: where the proofs come from that travel with signatures; None: they carry none. ``stamps``: what
        visible signatures are drawn with; None: there are none."""
        self._stamps = stamps
        self._keys = keys
        self._timestamps = timestamps
        self._evidence = Evidence(status, clock)
        self._algorithms: dict[tuple[str, x509.Certificate, bool], SigningAlgorithm] = {}
        self._clock = clock
        self._randomness = randomness
        self._text = text or SignatureText()
        self._limit = limit
        self._logs = logs

    def prepare(
        self,
        data: bytes,
        *,
        signatory: Signatory,
        level: Level = Level.B_LT,
        password: str | None = None,
        options: PdfOptions = _PLAIN,
        parallel: Signatory | None = None,
        pss: bool = False,
        appearance: Appearance | None = None,
    ) -> Prepared:
        """Everything up to the digest that is to be authorised. ``parallel``: who signs the same beside; ``pss``: RSA
        signs with PSS.

        ``options``: without a field, a new one is made, whose name is its own; where a field says more about itself,
        that counts. ``appearance``: of the template that they name. Raises DocumentRefused, OptionInvalid,
        CredentialNotUsable, KeyUnsupported, LogProofUnavailable, key store errors.
        """
        now, signers = self._clock.now(), [signatory, *([parallel] if parallel is not None else [])]
        certificate = signatory.certificate
        if any(
            not one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in (x.certificate for x in signers)
        ):
            raise CredentialNotUsable
        algorithm = self._algorithm(signatory, pss)
        proof, *others = proofs = [self._log_proof(one.certificate) for one in signers]
        opened = open_pdf(data, password=password, limit=self._limit)
        with told():  # what reads well need not hold what signing takes
            where, words = self._place(opened, options), self._text
            where, words = follow(where, words, signatory, algorithm, level, first=opened.unsigned)
            if where.certify is not None and not opened.unsigned:
                raise CertificationNotFirst
            where = self._seen(where, options, data, password, signatory, now, words, appearance)
            placeholder = revisions.place(
                revisions.Draft(data, password, opened.reader),
                where,
                hash_name=algorithm.hash_name,
                reserved=sum(self._room(one, level) for one in signers)
                + sum(len(one) + _ROOM_FOR_ATTRIBUTE for one in proofs if one),
                words=words,
                at=now,
            )
        if parallel is not None:
            attributes, beside = self._beside((signatory, algorithm), parallel, placeholder, others[0])
        else:
            attributes, beside = cms.signed_attributes(placeholder.digest, certificate), None
        digest = algorithm.representative(certificate, attributes)
        return Prepared(signatory, algorithm, level, placeholder, attributes, digest, proof, beside)

    def _beside(
        self,
        own: tuple[Signatory, SigningAlgorithm],
        parallel: Signatory,
        placeholder: revisions.Placeholder,
        proof: bytes | None,
    ) -> tuple[bytes, Beside]:
        """The signed attributes of the first signature and the second one, which name each other."""

        def partner(one: Signatory, by: SigningAlgorithm) -> tuple[Callable[[Attributes], bytes], Partner]:
            digest = placeholder.draft.digest(by.hash_name, placeholder.hole)
            made = partial(cms.signed_attributes, digest, one.certificate)
            return made, Partner(one.certificate, by.hash_name, by.identifier(one.certificate))

        algorithm = self._algorithm(parallel)
        first, second = partner(*own), partner(parallel, algorithm)
        attributes = announcing(*second, *first)
        digest = algorithm.representative(parallel.certificate, attributes)
        return announcing(*first, *second), Beside(parallel, algorithm, attributes, digest, proof)

    def sign(self, prepared: Prepared, activation: bytes | None = None) -> bytes:
        """Use the key and :meth:`complete`. Raises key store errors besides those of :meth:`complete`."""
        (signature,) = self.signatures([prepared], activation)
        return self.complete(prepared, signature)

    def signatures(self, prepared: Sequence[Prepared], activation: bytes | None = None) -> list[bytes]:
        """The signatures over documents of one signatory, in one call to the key store: all or none."""
        first = prepared[0]
        digests = [one.digest for one in prepared]
        return sign_digests(self._keys, first.signatory, first.algorithm, digests, activation)

    def complete(self, prepared: Prepared, signature: bytes, parallel: bytes | None = None) -> bytes:
        """The signed document; ``prepared`` is used up. ``parallel``: the signature beside, where one was prepared.

        Raises TimestampUnavailable, StatusUnavailable, CertificateRevoked, SignatureNotAccepted.
        """
        level, draft = prepared.level, prepared.placeholder.draft
        beside = prepared.parallel
        if (beside is None) is not (parallel is None):
            raise SignatureNotAccepted(check="SIGN-OUT-PARALLEL")
        token = self._token(signature) if level.includes(Level.B_T) else None
        other = self._token(parallel) if parallel is not None and token is not None else None
        inner = None
        if beside is not None and parallel is not None:
            inner = beside.message(parallel, other.der if other else None)
        prepared.placeholder.fill(
            cms.signed_data(
                prepared.attributes,
                signature,
                prepared.signatory,
                prepared.algorithm,
                token.der if token else None,
                prepared.log_proof,
                inner,
            )
        )
        stamped = [(prepared.signatory, token), *([(beside.signatory, other)] if beside is not None else [])]
        if token is not None and level.includes(Level.B_LT):
            above = tuple(self._timestamps.certificates())
            gathered = [self._evidence.gather(who, by, above) for who, by in stamped if by is not None]
            with told():
                revisions.add_validation_data(draft, merged(gathered))
        else:
            for who, by in stamped:
                if by is not None:
                    self._evidence.check_not_revoked(who, by)
        if level.includes(Level.B_LTA):
            self.archive(draft)
        signed = draft.octets()
        accept(
            draft.original,
            signed,
            password=draft.password,
            field=prepared.placeholder.field,
            signatory=prepared.signatory,
            parallel=beside.signatory if beside is not None else None,
            level=level,
            hashed=draft.hashed,
        )
        return signed

    def archive(self, draft: revisions.Draft) -> TimestampToken:
        """Append a document timestamp over everything so far. TimestampUnavailable."""
        tokens: list[TimestampToken] = []

        def token(digest: bytes) -> bytes:
            tokens.append(self._checked_token(digest))
            return tokens[-1].der

        revisions.add_document_timestamp(
            draft,
            field=self._new_field(()),
            hash_name=_TIMESTAMP_HASH,
            reserved=self._token_room(),
            token=token,
        )
        return tokens[-1]

    def _algorithm(self, signatory: Signatory, pss: bool = False) -> SigningAlgorithm:
        """How a key signs. That never changes, so the token is asked once; whether it may sign, it says each time."""
        known = (signatory.key_id, signatory.certificate, pss)
        found = self._algorithms.get(known)
        if found is None:
            found = signing_algorithm(self._keys.get(signatory.key_id), signatory.certificate, pss=pss)
            if len(self._algorithms) >= _KEPT_ALGORITHMS:
                self._algorithms.clear()
            self._algorithms[known] = found
        return found

    def _place(self, opened: Opened, options: PdfOptions) -> revisions.Place:
        """The field to sign in, and what it locks. DocumentLocked where an earlier signature locked it."""
        lock = options.lock
        existing = None if options.field is None else check_field(options.field, opened.fields)
        if existing is not None:
            own = field_lock(existing.holder)
            if own is not None and lock is not None and own != lock:
                raise SignatureFieldConstraint(rule="SV-LOCK")
            lock = own or lock
        called = options.field or self._new_field(tuple(one.name for one in opened.fields))
        if any(covers(one, called) for one in opened.locks):
            raise DocumentLocked
        return revisions.Place(called, existing, lock, options.certify)

    def _seen(
        self,
        where: revisions.Place,
        options: PdfOptions,
        data: bytes,
        password: str | None,
        signatory: Signatory,
        now: datetime,
        words: SignatureText,
        appearance: Appearance | None,
    ) -> revisions.Place:
        """What is seen of the signature, and where. A field that has an area is never left empty."""
        if options.visible is not None and options.visible.template is not None and appearance is None:
            raise TemplateUnknown
        visible = options.visible
        if appearance is not None and visible is not None:
            visible = appearance.fitted(visible, in_field=where.field is not None)
        size = area_of(where.field) if where.field is not None else (0.0, 0.0)
        if where.field is not None:
            if visible is not None and visible.where not in (Where.AUTO, Where.FIELD):
                raise OptionInvalid(option="visible")
            if min(size) < _SMALLEST_FIELD:
                if visible is not None:
                    raise NoPlaceForSignature
                return where
            visible = visible or Visible(Where.FIELD)
        if visible is None:
            return where
        if self._stamps is None:
            raise NotImplementedYet
        from signing.sign import stamp  # drawing takes libraries that signing unseen does without
        from signing.sign.stamp_place import find_spot

        if where.field is not None:
            spot = Spot(0, (0, 0, *size), rotation_of(where.field))
        else:
            spot = find_spot(data, password, visible)
        leads = self._stamps.address if visible.qr else None
        if leads is not None and options.printed is not None:
            leads = self._code(leads, options.printed, data, signatory, now)
        if appearance is not None:
            from signing.sign import stamp_template

            values = stamp_template.values(signatory.certificate, now, words.reason)
            drawn = stamp_template.draw(appearance, values, leads, spot.size, self._stamps.fonts)
        else:
            drawn = stamp.draw(
                stamp.seen(signatory.certificate, now, words.reason, leads), spot.size, self._stamps.fonts
            )
        return replace(where, spot=spot, drawn=drawn)

    def _code(
        self, address: str, printed: tuple[tuple[str, str], ...], data: bytes, signatory: Signatory, now: datetime
    ) -> str:
        """The text of a QR code by which a print can be checked. OptionInvalid: too long, or not a seal's to make."""
        from signing import paper_code

        if signatory.wrapped is not None:  # a person approves digests of documents, not of codes
            raise OptionInvalid(option="printed")
        certificate = signatory.certificate
        claim = paper_code.Claim(now, hashlib.sha256(data).digest(), len(data), certificate.serial_number, printed)
        try:
            code = paper_code.prepare(claim, certificate)
            (signature,) = sign_digests(self._keys, signatory, self._algorithm(signatory), [code.digest])
            return paper_code.complete(code, signature, certificate, address)
        except paper_code.CodeInvalid:
            raise OptionInvalid(option="printed") from None

    def _token(self, signature: bytes) -> TimestampToken:
        """EN 319 122-1 §5.3: the timestamp is over the hash of the signature value."""
        return self._checked_token(hashlib.new(_TIMESTAMP_HASH, signature).digest())

    def _checked_token(self, imprint: bytes) -> TimestampToken:
        try:
            der = self._timestamps.token(imprint, _TIMESTAMP_HASH)
        except CamTrustError as error:
            raise TimestampUnavailable from error
        return read_token(der, imprint, _TIMESTAMP_HASH, self._clock.now())

    def _log_proof(self, certificate: x509.Certificate) -> bytes | None:
        if self._logs is None:
            return None
        try:
            return self._logs.proof(certificate)
        except CamTrustError as error:
            raise LogProofUnavailable from error

    def _new_field(self, taken: tuple[str, ...]) -> str:
        while True:
            name = f"CamTrust-{self._randomness.bytes(8).hex()}"
            if name not in taken:
                return name

    def _room(self, signatory: Signatory, level: Level) -> int:
        own = _octets((signatory.certificate, *signatory.chain)) + self._algorithm(signatory).most_octets
        return _ROOM_FOR_STRUCTURE + own + (self._token_room() if level.includes(Level.B_T) else 0)

    def _token_room(self) -> int:
        return _ROOM_FOR_TOKEN + _octets(self._timestamps.certificates())


def _octets(certificates: Iterable[x509.Certificate]) -> int:
    return sum(len(one.public_bytes(Encoding.DER)) for one in certificates)
