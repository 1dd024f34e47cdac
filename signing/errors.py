"""What signing refuses, and why. The code is the rule's ID: it stands in the answer, the audit trail and the tests.

CamTrustError
├── DocumentRefused               the file cannot be signed as it is; nothing of it is kept
│   ├── DocumentEmpty             no octets at all
│   ├── DocumentNotPdf            no PDF header in the first 1024 octets
│   ├── DocumentTooLarge          over the limit
│   ├── DocumentDamaged           cut off or broken: a reader would have to guess
│   ├── DocumentTooComplex        too many revisions, pages, fields, or too much when unpacked
│   ├── DocumentHybrid            two tables of contents: readers can disagree about what the document is
│   ├── DocumentPasswordRequired  encrypted, and no password came with it
│   ├── DocumentPasswordWrong     encrypted, and the password does not open it
│   ├── DocumentEncryptionUnsupported
│   ├── DocumentRestricted        opened, but its owner does not allow it to be signed
│   ├── DocumentLocked            an earlier signature allows no more changes (DocMDP, field lock)
│   ├── DocumentXfa               an XFA form: what is seen is not what would be signed
│   ├── SignatureFieldNotFound    no empty signature field of this name
│   ├── SignatureFieldUsed        the field holds a signature already
│   ├── SignatureFieldConstraint  the field asks for something else (seed values)
│   ├── CertificationNotFirst     a certification is always the first signature
│   ├── NoPlaceForSignature       no free space, page or words for a visible signature
│   └── TemplateUnknown           no approved template of this name is your organisation's
├── DocumentNotFound              no such document of yours
├── DocumentAlreadySigned         signed before: it is not signed twice
├── DocumentNotSigned             there is no signed version yet
├── DocumentBusy                  another request took it over in the meantime
├── DocumentOfRequest             a signing request holds it: it is signed or refused there
├── TooManyDocuments              more than one authorisation, or one person, may have
├── UploadInvalid                 not a form with one file
├── OptionInvalid                 words about the field, lock or appearance that cannot be understood
├── CursorInvalid
├── ApprovalNotFound              no such question to a device of yours, or answered already
├── PromptNotFound            no such prompt to you, or it ran out
├── PromptClosed              answered already
├── CredentialNotFound            no such credential of yours
├── CredentialNotUsable           withdrawn, expired, or not for this
├── CredentialMismatch            key, owner and certificate do not belong together (a caller's mistake)
├── CertificateRevoked            the status after the timestamp says so
├── SealNotAllowed                the client's policy does not let it seal this (level, format, size, hours, quota)
├── SealNeedsRelease              the client's policy asks somebody else to release each seal
├── SealPolicyInvalid             a policy that cannot be
├── KeyUnsupported                a key that PDF signatures are not made with
├── LevelNotAllowed               citizens sign at B-T or above (sub-decree 246, 2017), or the form has no such level
├── ExtensionRefused              a document whose signatures do not hold, or cannot be read, is not extended
├── NothingToExtend               it has the level that was asked for
├── FormUnknown                   no such format, or not in this packaging
├── TimestampUnavailable          the timestamp authority does not answer, or its token does not check out
├── StatusUnavailable             no fresh status of a certificate in the chain
├── SignatureNotAccepted          what was made does not pass our own check: it is not handed out
└── of signing requests           `signing.requests.errors`
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class DocumentRefused(CamTrustError):
    """The file can never be signed as it is."""

    code = "signing.document_refused"
    kind = Kind.INVALID


class DocumentEmpty(DocumentRefused):
    code = "signing.document_empty"


class DocumentNotPdf(DocumentRefused):
    code = "signing.document_not_pdf"


class DocumentTooLarge(DocumentRefused):
    """``limit`` is in MiB."""

    code = "signing.document_too_large"
    kind = Kind.TOO_LARGE


class DocumentDamaged(DocumentRefused):
    code = "signing.document_damaged"


class DocumentTooComplex(DocumentRefused):
    code = "signing.document_too_complex"


class DocumentHybrid(DocumentRefused):
    code = "signing.document_hybrid"


class DocumentPasswordRequired(DocumentRefused):
    code = "signing.document_password_required"


class DocumentPasswordWrong(DocumentRefused):
    code = "signing.document_password_wrong"


class DocumentEncryptionUnsupported(DocumentRefused):
    code = "signing.document_encryption_unsupported"


class DocumentRestricted(DocumentRefused):
    code = "signing.document_restricted"


class DocumentLocked(DocumentRefused):
    code = "signing.document_locked"


class DocumentXfa(DocumentRefused):
    code = "signing.document_xfa"


class SignatureFieldNotFound(DocumentRefused):
    code = "signing.field_not_found"


class SignatureFieldUsed(DocumentRefused):
    code = "signing.field_used"


class SignatureFieldConstraint(DocumentRefused):
    """``rule``: which of the rules of :mod:`signing.sign.seed_values` cannot be met."""

    code = "signing.field_constraint"


class CertificationNotFirst(DocumentRefused):
    code = "signing.certification_not_first"


class NoPlaceForSignature(DocumentRefused):
    code = "signing.no_place"


class TemplateUnknown(DocumentRefused):
    """The client's organisation has no approved template of this name, or whoever signs has no organisation."""

    code = "signing.template_unknown"


class OptionInvalid(CamTrustError):
    """``option`` is the one that is not understood."""

    code = "signing.option_invalid"
    kind = Kind.INVALID


class DocumentNotFound(CamTrustError):
    code = "signing.document_not_found"
    kind = Kind.NOT_FOUND


class ApprovalNotFound(CamTrustError):
    code = "signing.approval_not_found"
    kind = Kind.NOT_FOUND


class PromptNotFound(CamTrustError):
    code = "signing.prompt_not_found"
    kind = Kind.NOT_FOUND


class PromptClosed(CamTrustError):
    code = "signing.prompt_closed"
    kind = Kind.CONFLICT


class DocumentAlreadySigned(CamTrustError):
    code = "signing.document_already_signed"
    kind = Kind.CONFLICT


class DocumentNotSigned(CamTrustError):
    code = "signing.document_not_signed"
    kind = Kind.CONFLICT


class DocumentBusy(CamTrustError):
    code = "signing.document_busy"
    kind = Kind.CONFLICT


class DocumentOfRequest(CamTrustError):
    code = "signing.document_of_request"
    kind = Kind.CONFLICT


class TooManyDocuments(CamTrustError):
    """``limit`` is what is allowed."""

    code = "signing.too_many_documents"
    kind = Kind.TOO_LARGE


class UploadInvalid(CamTrustError):
    code = "signing.upload_invalid"
    kind = Kind.INVALID


class CursorInvalid(CamTrustError):
    code = "signing.cursor_invalid"
    kind = Kind.INVALID


class CredentialNotFound(CamTrustError):
    code = "signing.credential_not_found"
    kind = Kind.NOT_FOUND


class CredentialNotUsable(CamTrustError):
    code = "signing.credential_not_usable"
    kind = Kind.CONFLICT


class CredentialMismatch(CamTrustError):
    code = "signing.credential_mismatch"
    kind = Kind.INVALID


class CertificateRevoked(CamTrustError):
    code = "signing.certificate_revoked"
    kind = Kind.CONFLICT


class KeyUnsupported(CamTrustError):
    code = "signing.key_unsupported"
    kind = Kind.INVALID


class LevelNotAllowed(CamTrustError):
    """``level`` is the one that was asked for."""

    code = "signing.level_not_allowed"
    kind = Kind.INVALID


class ExtensionRefused(CamTrustError):
    """``rule`` is what speaks against it, as `signing.verify` has it."""

    code = "signing.extension_refused"
    kind = Kind.INVALID


class NothingToExtend(CamTrustError):
    """``level`` is the one that it has."""

    code = "signing.nothing_to_extend"
    kind = Kind.CONFLICT


class FormUnknown(CamTrustError):
    code = "signing.form_unknown"
    kind = Kind.INVALID


class TimestampUnavailable(CamTrustError):
    code = "signing.timestamp_unavailable"
    kind = Kind.UNAVAILABLE


class StatusUnavailable(CamTrustError):
    code = "signing.status_unavailable"
    kind = Kind.UNAVAILABLE


class LogProofUnavailable(CamTrustError):
    code = "signing.log_proof_unavailable"
    kind = Kind.UNAVAILABLE


class SignatureNotAccepted(CamTrustError):
    """``check`` names the check of :mod:`signing.sign.acceptance` that did not pass."""

    code = "signing.signature_not_accepted"


class SealNotAllowed(CamTrustError):
    """``rule`` of `signing.seal_policy`."""

    code = "signing.seal_not_allowed"
    kind = Kind.FORBIDDEN


class SealNeedsRelease(CamTrustError):
    code = "signing.seal_needs_release"
    kind = Kind.FORBIDDEN


class SealPolicyInvalid(CamTrustError):
    """``field`` of the policy."""

    code = "signing.seal_policy_invalid"
    kind = Kind.INVALID


class SigningHeld(CamTrustError):
    """New factors of a person who lost theirs do not sign yet: ``until`` (RFC 3339)."""

    code = "signing.held"
    kind = Kind.FORBIDDEN


class SigningStopped(CamTrustError):
    """New factors were stopped by somebody whom a contact of before reached."""

    code = "signing.stopped"
    kind = Kind.FORBIDDEN
