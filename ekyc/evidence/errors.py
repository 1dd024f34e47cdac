"""What is refused of evidence beside the typed document.

EkycError
├── image      ImageFormatUnknown, ImageTooLarge, ImageTooSmall, ImageAnimated, ImageBroken, ImageTooCostly,
│              ImageReaderBusy, ImageReaderUnavailable, ImageUnknown, LetterReaderMissing
├── chip       ChallengeUnknown, ChipFilesInvalid, ChipKeyUnusable
├── face       FaceImagesInvalid, FaceLibraryMissing, FaceModelUnusable
└── trust      TrustFileInvalid, TrustImportUnknown, TrustImportDecided, TrustDigestDiffers, SecondOfficerNeeded,
               AuthorityUnknown, CrlNotAnchored
"""

from __future__ import annotations

from ekyc.errors import EkycError
from foundation.errors import Kind


class ImageFormatUnknown(EkycError):
    """Not a JPEG, PNG or WebP by its content."""

    code = "ekyc.image_format_unknown"
    kind = Kind.INVALID


class ImageTooLarge(EkycError):
    """More octets or pixels than allowed; nothing was decoded."""

    code = "ekyc.image_too_large"
    kind = Kind.TOO_LARGE


class ImageTooSmall(EkycError):
    code = "ekyc.image_too_small"
    kind = Kind.INVALID


class ImageAnimated(EkycError):
    code = "ekyc.image_animated"
    kind = Kind.INVALID


class ImageBroken(EkycError):
    """Cut off, or not what its first octets say."""

    code = "ekyc.image_broken"
    kind = Kind.INVALID


class ImageTooCostly(EkycError):
    """Decoding it wanted more memory or time than an image needs; the process was ended."""

    code = "ekyc.image_too_costly"
    kind = Kind.INVALID


class ImageReaderBusy(EkycError):
    code = "ekyc.image_reader_busy"
    kind = Kind.UNAVAILABLE


class ImageReaderUnavailable(EkycError):
    """No worker, no walls around it, or no sensible answer of it: nothing is decoded without them."""

    code = "ekyc.image_reader_unavailable"
    kind = Kind.UNAVAILABLE


class ImageUnknown(EkycError):
    """There is none with this id in this enrolment."""

    code = "ekyc.image_unknown"
    kind = Kind.NOT_FOUND


class ChallengeUnknown(EkycError):
    """No open challenge of this enrolment: never drawn, answered already, too old, or somebody else's."""

    code = "ekyc.challenge_unknown"
    kind = Kind.CONFLICT


class ChipFilesInvalid(EkycError):
    """What was sent cannot be the files of a chip: names or sizes."""

    code = "ekyc.chip_files_invalid"
    kind = Kind.INVALID


class ChipKeyUnusable(EkycError):
    """DG14 names no key for chip authentication that can be computed with here."""

    code = "ekyc.chip_key_unusable"
    kind = Kind.INVALID


class TrustFileInvalid(EkycError):
    """Neither a master list nor the certificate of a signing authority; ``problem`` says why, in a word."""

    code = "ekyc.trust_file_invalid"
    kind = Kind.INVALID


class TrustImportUnknown(EkycError):
    code = "ekyc.trust_import_unknown"
    kind = Kind.NOT_FOUND


class TrustImportDecided(EkycError):
    code = "ekyc.trust_import_decided"
    kind = Kind.CONFLICT


class TrustDigestDiffers(EkycError):
    """The officer approves another file than the one that is there."""

    code = "ekyc.trust_digest_differs"
    kind = Kind.CONFLICT


class SecondOfficerNeeded(EkycError):
    """Whoever brought it cannot approve it, nor can the same person as another officer."""

    code = "ekyc.second_officer_needed"
    kind = Kind.FORBIDDEN


class AuthorityUnknown(EkycError):
    code = "ekyc.authority_unknown"
    kind = Kind.NOT_FOUND


class CrlNotAnchored(EkycError):
    """A CRL that no approved authority has signed."""

    code = "ekyc.crl_not_anchored"
    kind = Kind.INVALID


class LetterReaderMissing(EkycError):
    """The program that reads letters is not installed: people type the lines."""

    code = "ekyc.letter_reader_missing"
    kind = Kind.UNAVAILABLE


class FaceImagesInvalid(EkycError):
    """Not ``count`` different portraits of this enrolment that were sent after the challenge was drawn."""

    code = "ekyc.face_images_invalid"
    kind = Kind.INVALID


class FaceLibraryMissing(EkycError):
    """Models are set, and the library that runs them is not installed."""

    code = "ekyc.face_library_missing"
    kind = Kind.UNAVAILABLE


class FaceModelUnusable(EkycError):
    """``file`` is missing, too large, or not the one whose hash is set: nothing is judged by it."""

    code = "ekyc.face_model_unusable"
    kind = Kind.UNAVAILABLE


class KhmerNameUnverified(EkycError):
    """A name in Khmer for a document that has none: nobody could verify it."""

    code = "ekyc.khmer_name_unverified"
    kind = Kind.INVALID
