"""What the ACME door refuses, each with its error type (RFC 8555 §6.7, RFC 9773 §7.4).

AcmeRefused
├── Malformed                400  ``what``: the part of the request
├── WrongContentType         415
├── BadNonce                 400  the client tries again with the nonce of this answer
├── BadSignatureAlgorithm    400
├── BadPublicKey             400
├── Unauthorized             403  a signature, or an owner, that does not fit
├── AccountDoesNotExist      400
├── ExternalAccountRequired  403  no external account credential came with the account
├── BadCsr                   400
├── RejectedIdentifier       400  a name that we do not certify for this account
├── UnsupportedIdentifier    400  not a DNS name
├── OrderNotReady            403
├── AlreadyRevoked           400
├── BadRevocationReason      400
├── AlreadyReplaced          409
├── AccountKeyInUse          409
├── RateLimited              429
├── ResourceUnknown          404
├── ConnectionFailed         400  of a challenge: the server did not answer
├── DnsFailed                400  of a challenge: the name was not found
└── IncorrectResponse        403  of a challenge: another answer than the one that was asked for
"""

from __future__ import annotations

from typing import ClassVar

from foundation.errors import CamTrustError, Kind

URN = "urn:ietf:params:acme:error:"


class AcmeRefused(CamTrustError):
    """``type`` is the last part of the URN; ``status`` the HTTP status."""

    type: ClassVar[str] = "malformed"
    status: ClassVar[int] = 400


class Malformed(AcmeRefused):
    code = "issuing_ca.acme_malformed"
    kind = Kind.INVALID


class WrongContentType(AcmeRefused):
    code = "issuing_ca.acme_wrong_content_type"
    kind = Kind.INVALID
    status = 415


class BadNonce(AcmeRefused):
    code = "issuing_ca.acme_bad_nonce"
    kind = Kind.INVALID
    type = "badNonce"


class BadSignatureAlgorithm(AcmeRefused):
    code = "issuing_ca.acme_bad_signature_algorithm"
    kind = Kind.INVALID
    type = "badSignatureAlgorithm"


class BadPublicKey(AcmeRefused):
    code = "issuing_ca.acme_bad_public_key"
    kind = Kind.INVALID
    type = "badPublicKey"


class Unauthorized(AcmeRefused):
    code = "issuing_ca.acme_unauthorized"
    kind = Kind.FORBIDDEN
    type = "unauthorized"
    status = 403


class AccountDoesNotExist(AcmeRefused):
    code = "issuing_ca.acme_account_unknown"
    kind = Kind.NOT_FOUND
    type = "accountDoesNotExist"


class ExternalAccountRequired(AcmeRefused):
    code = "issuing_ca.acme_external_account_required"
    kind = Kind.FORBIDDEN
    type = "externalAccountRequired"
    status = 403


class BadCsr(AcmeRefused):
    code = "issuing_ca.acme_bad_csr"
    kind = Kind.INVALID
    type = "badCSR"


class RejectedIdentifier(AcmeRefused):
    code = "issuing_ca.acme_rejected_identifier"
    kind = Kind.INVALID
    type = "rejectedIdentifier"


class UnsupportedIdentifier(AcmeRefused):
    code = "issuing_ca.acme_unsupported_identifier"
    kind = Kind.INVALID
    type = "unsupportedIdentifier"


class OrderNotReady(AcmeRefused):
    code = "issuing_ca.acme_order_not_ready"
    kind = Kind.CONFLICT
    type = "orderNotReady"
    status = 403


class AlreadyRevoked(AcmeRefused):
    code = "issuing_ca.acme_already_revoked"
    kind = Kind.CONFLICT
    type = "alreadyRevoked"


class BadRevocationReason(AcmeRefused):
    code = "issuing_ca.acme_bad_revocation_reason"
    kind = Kind.INVALID
    type = "badRevocationReason"


class AlreadyReplaced(AcmeRefused):
    code = "issuing_ca.acme_already_replaced"
    kind = Kind.CONFLICT
    type = "alreadyReplaced"
    status = 409


class AccountKeyInUse(AcmeRefused):
    """``account``: whose key it is already; goes into Location (RFC 8555 §7.3.5)."""

    code = "issuing_ca.acme_account_key_in_use"
    kind = Kind.CONFLICT
    status = 409

    def __init__(self, account: str) -> None:
        self.account = account
        super().__init__()


class RateLimited(AcmeRefused):
    code = "issuing_ca.acme_rate_limited"
    kind = Kind.THROTTLED
    type = "rateLimited"
    status = 429


class ResourceUnknown(AcmeRefused):
    code = "issuing_ca.acme_resource_unknown"
    kind = Kind.NOT_FOUND
    status = 404


class ConnectionFailed(AcmeRefused):
    code = "issuing_ca.acme_connection_failed"
    kind = Kind.UNAVAILABLE
    type = "connection"


class DnsFailed(AcmeRefused):
    code = "issuing_ca.acme_dns_failed"
    kind = Kind.UNAVAILABLE
    type = "dns"


class IncorrectResponse(AcmeRefused):
    code = "issuing_ca.acme_incorrect_response"
    kind = Kind.FORBIDDEN
    type = "incorrectResponse"
    status = 403


class CredentialUnknown(CamTrustError):
    """No external account credential of this key identifier. For officers, not for ACME clients."""

    code = "issuing_ca.acme_credential_unknown"
    kind = Kind.NOT_FOUND
