"""Images of the document: decoded behind walls, kept as pixels alone, sealed for the person. Control: EKYC-IMAGE.

An image that cannot be decoded is refused and not kept. Kept ones are blobs, sealed; the ledger holds their ids, and
(sealed) their digests, so that what an officer sees is what came. Whoever looks is in the audit trail first.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.errors import EvidenceChainBroken
from ekyc.evidence.errors import (
    ImageUnknown,
)
from ekyc.evidence.record import Evidence, EvidenceKind
from ekyc.findings import Finding, ImageOutcome
from ekyc.imaging import ImageReader
from ekyc.model import REVIEWABLE, TAKES_EVIDENCE, Enrolment
from ekyc.ports import Blobs
from ekyc.review.desk import ReviewDesk
from foundation.http.actor import Actor

_ID_OCTETS = 16


class Side(StrEnum):
    """What an image shows."""

    FRONT = "front"  # of a card
    BACK = "back"
    DATA_PAGE = "data-page"  # of a passport
    PORTRAIT = "portrait"  # the person's face, taken now
    CHIP = "chip"  # the portrait in the chip: never sent, always read from its signed files


@dataclass(frozen=True)
class KeptImage:
    """An image that was taken, and the enrolment after it."""

    id: str
    side: Side
    width: int
    height: int
    enrolment: Enrolment


class ImageDesk:
    """Takes images, and shows them to whoever may see them."""

    def __init__(self, files: CaseFiles, blobs: Blobs, reader: ImageReader, review: ReviewDesk) -> None:
        self._files = files
        self._blobs = blobs
        self._reader = reader
        self._review = review

    def take(
        self, actor: Actor, enrolment_id: str, side: Side, data: bytes, *, if_version: int | None = None
    ) -> KeptImage:
        """Decode, strip, seal and keep. Raises the Image errors (nothing kept), TooMuchEvidence, StaleWrite."""
        files = self._files
        enrolment = files.begin(actor, enrolment_id, *TAKES_EVIDENCE, if_version=if_version)
        files.takes(enrolment, EvidenceKind.DOCUMENT)
        clean = self._reader.read(data)
        image_id = files.randomness.bytes(_ID_OCTETS).hex()
        sealed = files.vault.seal(enrolment.person_id, image_purpose(image_id), clean.data)
        finding = Finding(
            EvidenceKind.IMAGE,
            ImageOutcome.STORED,
            facts={"image": image_id, "side": side.value, "came_as": clean.came_as},
            content={"sha256": hashlib.sha256(clean.data).hexdigest(), "width": clean.width, "height": clean.height},
        )
        self._blobs.put(blob_key(image_id), sealed)
        try:
            moved = files.add(actor, enrolment, finding)
        except BaseException:
            self._blobs.delete(blob_key(image_id))
            raise
        return KeptImage(image_id, side, clean.width, clean.height, moved)

    def own(self, actor: Actor, enrolment_id: str, image_id: str) -> bytes:
        """The person's own image, JPEG. Raises EnrolmentUnknown, ImageUnknown."""
        return self.open(self._files.of_person(actor, enrolment_id), image_id)

    def of_case(self, officer: Actor, enrolment_id: str, image_id: str) -> bytes:
        """An image of a case that waits for an officer. Raises SelfReview, NotAssigned, WrongState, ImageUnknown."""
        with self._files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
        enrolment.expect(*REVIEWABLE)
        self._review.not_their_own(officer, enrolment)
        self._review.assignments.check(officer, enrolment)
        record = self._record(enrolment, image_id)
        with self._files.database.unit_of_work() as connection:
            details = {"person": enrolment.person_id, "image": record.facts["image"]}
            self._files.audit.append(connection, str(officer), "ekyc.image_viewed", enrolment.id, details)
        return self.open(enrolment, image_id)

    def open(self, enrolment: Enrolment, image_id: str) -> bytes:
        """The octets, held to the digest in the ledger. Raises ImageUnknown; EvidenceChainBroken where they differ."""
        record = self._record(enrolment, image_id)
        with self._files.database.read() as connection:
            content = self._files.open_record(connection, enrolment, record)
        data = self._files.vault.open(enrolment.person_id, image_purpose(image_id), self._blobs.get(blob_key(image_id)))
        if not hmac.compare_digest(hashlib.sha256(data).hexdigest(), str(content["sha256"])):
            raise EvidenceChainBroken(sequence=record.sequence)
        return data

    def latest(self, enrolment: Enrolment, side: Side) -> str | None:
        """The id of the newest image of a side."""
        found = [one.facts["image"] for one in self._records(enrolment) if one.facts["side"] == side.value]
        return found[-1] if found else None

    def taken_since(self, enrolment: Enrolment, side: Side, since: datetime) -> frozenset[str]:
        """The ids of the images of a side that were sent at ``since`` or later."""
        records = self._records(enrolment)
        return frozenset(one.facts["image"] for one in records if one.facts["side"] == side.value and one.at >= since)

    def _record(self, enrolment: Enrolment, image_id: str) -> Evidence:
        for record in self._records(enrolment):
            if record.facts["image"] == image_id:
                return record
        raise ImageUnknown

    def _records(self, enrolment: Enrolment) -> list[Evidence]:
        ledger = self._files.ledger(enrolment)
        return [one for one in ledger if one.kind is EvidenceKind.IMAGE and one.outcome == ImageOutcome.STORED]


def blob_key(image_id: str) -> str:
    """Where the sealed octets of an image are."""
    return f"ekyc/{image_id}"


def image_purpose(image_id: str) -> str:
    """What an image is sealed for."""
    return f"image:{image_id}"
