"""What verification refuses to the person who asks. A bad document is never one of these: it gets a verdict.

CamTrustError
├── BundleNotMade          contents that no reader of a bundle would take
├── FileUnreadable         a file that cannot be opened or read
├── AnchorUnreadable       --trust-anchor names a file without a certificate
├── PinUnreadable          a fingerprint that is not one
├── BundleMemoryUnreadable the number of the newest bundle that was seen cannot be read
├── ReportNeedsFolder      --report names one file for several documents
├── ReportKindUnknown      --report has an ending that is no kind of report
├── NothingToReport        a report on a file without signatures
├── DocumentChanged        the file changed between verdict and package
└── ReportNotWritten       the report could not be written to its file
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class BundleNotMade(CamTrustError):
    """``rule`` is the check of `signing.verify.bundle` that it would not pass."""

    code = "signing.bundle_not_made"
    kind = Kind.INVALID


class FileUnreadable(CamTrustError):
    """``name`` as the caller gave it."""

    code = "signing.verify_file_unreadable"
    kind = Kind.INVALID


class AnchorUnreadable(CamTrustError):
    """``name`` as the caller gave it."""

    code = "signing.verify_anchor_unreadable"
    kind = Kind.INVALID


class PinUnreadable(CamTrustError):
    code = "signing.verify_pin_unreadable"
    kind = Kind.INVALID


class BundleMemoryUnreadable(CamTrustError):
    """``name``: the file with the highest sequence that was seen. Without it an old bundle would not be noticed."""

    code = "signing.bundle_memory_unreadable"
    kind = Kind.INVALID


class ReportNeedsFolder(CamTrustError):
    """Several documents, and one file for their reports."""

    code = "signing.verify_report_folder"
    kind = Kind.INVALID


class ReportKindUnknown(CamTrustError):
    """The ending of --report says no kind that can be made here."""

    code = "signing.verify_report_kind"
    kind = Kind.INVALID


class NothingToReport(CamTrustError):
    """A file without signatures: TS 119 102-2 has no report for it."""

    code = "signing.verify_report_unsigned"
    kind = Kind.INVALID


class DocumentChanged(CamTrustError):
    """The file is no longer the one that was judged."""

    code = "signing.verify_report_changed"
    kind = Kind.CONFLICT


class ReportNotWritten(CamTrustError):
    """``name`` as the caller gave it."""

    code = "signing.verify_report_not_written"
    kind = Kind.UNAVAILABLE
