"""What the issuing CA refuses.

CamTrustError
├── DerInvalid              octets that are not the DER that was expected
├── AuthorityUnknown        no authority of this name
├── AuthorityExists         this authority has its certificate already
├── AuthorityNotInstalled   its key is made, its certificate is not there yet
├── AuthorityRefused        a certificate, chain or CRL handed to install; `rule` says which check
├── ProfileUnknown          no profile of this name
├── ProfileRefused          a profile that this door does not give, or that this authority does not sign
├── RequestRefused          a request that cannot become a certificate; `field` says where
├── DnsNameRefused          not a host name that a certificate can carry
├── KeyRefused              a public key that must not be certified; `rule` says which check
├── WeakKeysInvalid         the list of known-weak keys cannot be read; `line` says where, 0: not at all
├── KeyInUse                a public key that is certified for somebody else
├── KeyNotTheirs            a key in the token that belongs to another owner
├── EnrolmentCredentialUnknown  no enrolment credential of this reference
├── EnrolmentCredentialUsed     its one certificate is made, or is being made
├── EnrolmentRefused        a request of a machine; `what` says where it is not what was verified
├── EstUnauthenticated      nobody that the EST door knows; `rule` says which proof failed
├── CmpTypeWrong            not a PKIMessage by its Content-Type
├── ServerKeysRefused       a key is never made for somebody else
├── ApprovalRequired        a profile that two officers must approve, asked for past them
├── RaRequestUnknown        no request of this id
├── DecisionRefused         a decision that this officer may not make; `rule` says why
├── HolderReasonRefused     a reason that cannot be given here
├── QueryEmpty              a bulk revocation of everything
├── QueryChanged            a bulk revocation of others than were seen
├── IssuanceTokenInvalid    used, expired or never given
├── IssuanceMismatch        what would be signed is not what was linted
├── CertificateUnknown      no certificate with this serial number
├── TransitionRefused       a status change that the certificate's state does not allow
├── ReasonUnknown           not a reason of RFC 5280
├── CrlUnknown              a CRL of a scope that is not published
├── StatusStale             the root's CRL has expired: its subordinates' status cannot be told
├── DatabaseRolledBack      the database knows less than it once did: nothing starts on it
├── ReconciliationRefused   a reconciliation without what it asks for; `rule` says what
├── StatusWitnessUnreadable what was kept outside of the database cannot be read
├── TimestampRefused        a timestamp request that is not granted; ``failure`` is its PKIFailureInfo
├── Overloaded              more questions wait than are answered in good time
├── ClockUntrusted          the clock went back: no timestamp is given
├── LogTileUnknown          a tile that the log does not have (yet)
├── LogEntryUnknown         something that the log was never told of
├── LogEntryPending         something that no checkpoint covers yet
├── EventContradicted      another event of the registry has this id
├── ScopeExceeded          a machine's credential that does not reach so far
├── LintAlarm              pkilint found faults in certificates that were issued
├── WitnessesFail           a witness does not cosign the log; nothing waits for it
├── AuditHeadMissing       the audit trail does not have a head that was published
└── LogBroken               the stored log is not the one that was signed; nothing more is signed
"""

from __future__ import annotations

from foundation.errors import CamTrustError, Kind


class DerInvalid(CamTrustError):
    code = "issuing_ca.der_invalid"
    kind = Kind.INVALID


class AuthorityUnknown(CamTrustError):
    code = "issuing_ca.authority_unknown"
    kind = Kind.NOT_FOUND


class AuthorityExists(CamTrustError):
    code = "issuing_ca.authority_exists"
    kind = Kind.CONFLICT


class AuthorityNotInstalled(CamTrustError):
    code = "issuing_ca.authority_not_installed"
    kind = Kind.UNAVAILABLE


class AuthorityRefused(CamTrustError):
    code = "issuing_ca.authority_refused"
    kind = Kind.INVALID


class ProfileUnknown(CamTrustError):
    code = "issuing_ca.profile_unknown"
    kind = Kind.INVALID


class ProfileRefused(CamTrustError):
    code = "issuing_ca.profile_refused"
    kind = Kind.FORBIDDEN


class RequestRefused(CamTrustError):
    code = "issuing_ca.request_refused"
    kind = Kind.INVALID


class DnsNameRefused(CamTrustError):
    code = "issuing_ca.dns_name_refused"
    kind = Kind.INVALID


class KeyRefused(CamTrustError):
    code = "issuing_ca.key_refused"
    kind = Kind.INVALID


class WeakKeysInvalid(CamTrustError):
    code = "issuing_ca.weak_keys_invalid"
    kind = Kind.INVALID


class KeyInUse(CamTrustError):
    code = "issuing_ca.key_in_use"
    kind = Kind.CONFLICT


class KeyNotTheirs(CamTrustError):
    code = "issuing_ca.key_not_theirs"
    kind = Kind.FORBIDDEN


class EnrolmentCredentialUnknown(CamTrustError):
    code = "issuing_ca.enrolment_credential_unknown"
    kind = Kind.NOT_FOUND


class EnrolmentCredentialUsed(CamTrustError):
    code = "issuing_ca.enrolment_credential_used"
    kind = Kind.CONFLICT


class EnrolmentRefused(CamTrustError):
    code = "issuing_ca.enrolment_refused"
    kind = Kind.INVALID


class EnrolmentNotApproved(CamTrustError):
    """``reason``: the officers' reason, ``expired``, or the code of what kept the certificate from being made."""

    code = "issuing_ca.enrolment_not_approved"
    kind = Kind.FORBIDDEN


class EnrolmentWaiting(CamTrustError):
    code = "issuing_ca.enrolment_waiting"
    kind = Kind.CONFLICT


class EstUnauthenticated(CamTrustError):
    """EST-PROXY, EST-ONE-PROOF, EST-CERTIFICATE or EST-CREDENTIAL; what a client shows it for is HTTP Basic."""

    code = "issuing_ca.est_unauthenticated"
    kind = Kind.UNAUTHENTICATED
    challenge = 'Basic realm="camtrust-est"'


class CmpTypeWrong(CamTrustError):
    code = "issuing_ca.cmp_type_wrong"
    kind = Kind.INVALID


class ServerKeysRefused(CamTrustError):
    code = "issuing_ca.server_keys_refused"
    kind = Kind.FORBIDDEN


class KeyNotAttested(CamTrustError):
    """``field``: what the token says of the key, signed, and what does not agree with the request."""

    code = "issuing_ca.key_not_attested"
    kind = Kind.FORBIDDEN


class EmulatedKeyRefused(CamTrustError):
    code = "issuing_ca.emulated_key_refused"
    kind = Kind.FORBIDDEN


class ApprovalRequired(CamTrustError):
    code = "issuing_ca.approval_required"
    kind = Kind.FORBIDDEN


class BulkApprovalRequired(CamTrustError):
    code = "issuing_ca.bulk_approval_required"
    kind = Kind.FORBIDDEN


class ProposalUnknown(CamTrustError):
    code = "issuing_ca.proposal_unknown"
    kind = Kind.NOT_FOUND


class RaRequestUnknown(CamTrustError):
    code = "issuing_ca.ra_request_unknown"
    kind = Kind.NOT_FOUND


class DecisionRefused(CamTrustError):
    """``rule``: RA-OTHER, RA-ONCE or RA-TWO."""

    code = "issuing_ca.decision_refused"
    kind = Kind.FORBIDDEN


class HolderReasonRefused(CamTrustError):
    code = "issuing_ca.holder_reason_refused"
    kind = Kind.INVALID


class QueryEmpty(CamTrustError):
    code = "issuing_ca.query_empty"
    kind = Kind.INVALID


class QueryChanged(CamTrustError):
    code = "issuing_ca.query_changed"
    kind = Kind.CONFLICT


class IssuanceTokenInvalid(CamTrustError):
    code = "issuing_ca.issuance_token_invalid"
    kind = Kind.CONFLICT


class IssuanceMismatch(CamTrustError):
    code = "issuing_ca.issuance_mismatch"
    kind = Kind.INTERNAL


class CertificateUnknown(CamTrustError):
    code = "issuing_ca.certificate_unknown"
    kind = Kind.NOT_FOUND


class TransitionRefused(CamTrustError):
    code = "issuing_ca.transition_refused"
    kind = Kind.CONFLICT


class ReasonUnknown(CamTrustError):
    code = "issuing_ca.reason_unknown"
    kind = Kind.INVALID


class CrlUnknown(CamTrustError):
    code = "issuing_ca.crl_unknown"
    kind = Kind.NOT_FOUND


class StatusStale(CamTrustError):
    code = "issuing_ca.status_stale"
    kind = Kind.UNAVAILABLE


class DatabaseRolledBack(CamTrustError):
    """``authority`` whose status changes (``@log``: whose log) had come to ``size`` and are not so now."""

    code = "issuing_ca.database_rolled_back"
    kind = Kind.CONFLICT


class ReconciliationRefused(CamTrustError):
    code = "issuing_ca.reconciliation_refused"
    kind = Kind.FORBIDDEN


class StatusWitnessUnreadable(CamTrustError):
    code = "issuing_ca.status_witness_unreadable"
    kind = Kind.UNAVAILABLE


class TimestampRefused(CamTrustError):
    """``failure``: the bit of PKIFailureInfo that tells it (RFC 3161 §2.4.2)."""

    code = "issuing_ca.timestamp_refused"
    kind = Kind.INVALID

    def __init__(self, failure: int, name: str) -> None:
        self.failure = failure
        super().__init__(failure=name)


class ClockUntrusted(CamTrustError):
    code = "issuing_ca.clock_untrusted"
    kind = Kind.UNAVAILABLE


class Overloaded(CamTrustError):
    code = "issuing_ca.overloaded"
    kind = Kind.UNAVAILABLE


class LogTileUnknown(CamTrustError):
    code = "issuing_ca.log_tile_unknown"
    kind = Kind.NOT_FOUND


class LogEntryUnknown(CamTrustError):
    code = "issuing_ca.log_entry_unknown"
    kind = Kind.NOT_FOUND


class LogEntryPending(CamTrustError):
    code = "issuing_ca.log_entry_pending"
    kind = Kind.UNAVAILABLE


class EventContradicted(CamTrustError):
    code = "issuing_ca.event_contradicted"
    kind = Kind.CONFLICT


class ScopeExceeded(CamTrustError):
    """``authority`` and ``profile``: what was asked for."""

    code = "issuing_ca.scope_exceeded"
    kind = Kind.FORBIDDEN


class LintAlarm(CamTrustError):
    """``count`` findings that nobody has acknowledged; ``findings``: which."""

    code = "issuing_ca.lint_alarm"
    kind = Kind.INTERNAL


class WitnessesFail(CamTrustError):
    """``witnesses``: their names with a code each."""

    code = "issuing_ca.witnesses_fail"
    kind = Kind.UNAVAILABLE


class AuditHeadMissing(CamTrustError):
    """``at``: when the oldest head was published that the trail does not have."""

    code = "issuing_ca.audit_head_missing"
    kind = Kind.INTERNAL


class LogBroken(CamTrustError):
    """``size``: how far the tree goes whose root is not what it was."""

    code = "issuing_ca.log_broken"
    kind = Kind.INTERNAL
