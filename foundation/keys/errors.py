"""What a key store refuses, by the PKCS#11 return value that it stands for.

KeyStoreError
├── KeyHandleInvalid          CKR_KEY_HANDLE_INVALID        no such key
├── LabelExists               CKR_ATTRIBUTE_VALUE_INVALID   a key with this label is there already
├── KeyDisabled               CKR_KEY_FUNCTION_NOT_PERMITTED
├── MechanismInvalid          CKR_MECHANISM_INVALID         not for this key, or not known
├── DataInvalid               CKR_DATA_INVALID              wrong length or kind of input
├── PolicyInvalid             CKR_ATTRIBUTE_VALUE_INVALID   a key policy that is none, or allows more than its use
├── PolicyRefused             CKR_KEY_FUNCTION_NOT_PERMITTED  its policy does not let the key sign this; see ``rule``
├── PolicyUnsupported         CKR_TEMPLATE_INCONSISTENT     this token does not enforce policies
├── SignatureInvalid          CKR_SIGNATURE_INVALID         a signature that was made does not verify
├── TokenPinIncorrect         CKR_PIN_INCORRECT             an operator's PIN
├── TokenPinLocked            CKR_PIN_LOCKED
├── CardsInvalid              CKR_ARGUMENTS_BAD             not so many of so many cards
├── NoCards                   CKR_USER_PIN_NOT_INITIALIZED  this token has no cards
├── CardsRequired             CKR_USER_PIN_NOT_INITIALIZED  this token has no PIN: its cards open it
├── CardsUnreadable           CKR_PIN_INVALID               a word or the checksum of a card is wrong
├── CardsMixed                CKR_PIN_INCORRECT             cards of different sets
├── CardsForeign              CKR_PIN_INCORRECT             cards of another token, or of an older set
├── CardsRepeated             CKR_PIN_INCORRECT             the same card twice
├── CardsTooFew               CKR_PIN_INCORRECT             not enough cards
├── CustodiansInvalid         CKR_ARGUMENTS_BAD             no list of custodians
├── RequestInvalid            CKR_ARGUMENTS_BAD             another token's, used, over or changed
├── ApprovalInvalid           CKR_SIGNATURE_INVALID         of no custodian, or of another request
├── QuorumTooFew              CKR_USER_NOT_LOGGED_IN        not enough custodians approved
├── QuorumRequired            CKR_USER_NOT_LOGGED_IN        custodians must approve this
├── BackupInvalid             CKR_DATA_INVALID              cut off, changed, or no backup
├── BackupExists              CKR_ARGUMENTS_BAD             a file of this name is there
├── TokenFormatUnsupported    CKR_TOKEN_NOT_RECOGNIZED      made by another version
├── TokenNotInitialised       CKR_TOKEN_NOT_RECOGNIZED
├── TokenAlreadyInitialised   CKR_SESSION_EXISTS
├── NotLoggedIn               CKR_USER_NOT_LOGGED_IN
├── RoleNotAllowed            CKR_USER_TYPE_INVALID         this user of the machine may not take this role
├── TokenUnavailable          CKR_DEVICE_REMOVED            the key daemon does not answer
├── PinIncorrect              CKR_PIN_INCORRECT             a person's PIN or code was wrong (never says which)
├── PinLocked                 CKR_PIN_LOCKED                too many tries; retry_after says when
├── PinInvalid                CKR_PIN_INVALID               a PIN that cannot be used as one
├── CodeUsed                  CKR_PIN_EXPIRED               this one-time code was used before
├── FactorsNotEnrolled        CKR_USER_PIN_NOT_INITIALIZED
├── FactorsEnrolled           CKR_USER_ALREADY_LOGGED_IN    factors are set; changing them is another act
├── LastFactor                CKR_ACTION_PROHIBITED         a person's only factor is not taken away
├── PasskeyInvalid            CKR_PIN_INCORRECT             a passkey's answer is not to this question, or not theirs
├── PasskeyCloned             CKR_PIN_INCORRECT             its signature counter went back: two devices have it
├── PasskeysUnavailable       CKR_FUNCTION_NOT_SUPPORTED    the token has no relying party
├── MethodRefused             CKR_USER_TYPE_INVALID         the key asks for another factor
├── ActivationRequired        CKR_USER_NOT_LOGGED_IN        a person's key asked to sign without activation
├── ActivationInvalid         CKR_PIN_EXPIRED               used, expired, or for other digests or another key
├── OwnerDestroyed            CKR_KEY_HANDLE_INVALID        the person's key was destroyed
├── RotationUnderWay          CKR_OPERATION_ACTIVE          the last rotation of the master key is not finished
├── StoreRolledBack           CKR_DEVICE_ERROR              the token's store is older than what was witnessed
├── MarkBehind                CKR_DATA_INVALID              a mark that would go back, or to something else
├── AttestationInvalid        CKR_SIGNATURE_INVALID         a statement that this token did not make, or not so
└── WrappedKeyInvalid         CKR_WRAPPED_KEY_INVALID
"""

from __future__ import annotations

from typing import ClassVar

from foundation.errors import CamTrustError, Kind


class KeyStoreError(CamTrustError):
    """Anything a key store refuses. ``ckr`` is the PKCS#11 return value of the same meaning."""

    ckr: ClassVar[str] = "CKR_FUNCTION_FAILED"
    code = "foundation.key_store_failed"


class KeyHandleInvalid(KeyStoreError):
    ckr = "CKR_KEY_HANDLE_INVALID"
    code = "foundation.key_handle_invalid"
    kind = Kind.NOT_FOUND


class LabelExists(KeyStoreError):
    ckr = "CKR_ATTRIBUTE_VALUE_INVALID"
    code = "foundation.key_label_exists"
    kind = Kind.CONFLICT


class KeyDisabled(KeyStoreError):
    ckr = "CKR_KEY_FUNCTION_NOT_PERMITTED"
    code = "foundation.key_disabled"
    kind = Kind.FORBIDDEN


class MechanismInvalid(KeyStoreError):
    ckr = "CKR_MECHANISM_INVALID"
    code = "foundation.mechanism_invalid"
    kind = Kind.INVALID


class DataInvalid(KeyStoreError):
    ckr = "CKR_DATA_INVALID"
    code = "foundation.key_data_invalid"
    kind = Kind.INVALID


class PolicyInvalid(KeyStoreError):
    ckr = "CKR_ATTRIBUTE_VALUE_INVALID"
    code = "foundation.key_policy_invalid"
    kind = Kind.INVALID


class PolicyRefused(KeyStoreError):
    ckr = "CKR_KEY_FUNCTION_NOT_PERMITTED"
    code = "foundation.key_policy_refused"
    kind = Kind.FORBIDDEN


class PolicyUnsupported(KeyStoreError):
    ckr = "CKR_TEMPLATE_INCONSISTENT"
    code = "foundation.key_policy_unsupported"
    kind = Kind.FORBIDDEN


class SignatureInvalid(KeyStoreError):
    ckr = "CKR_SIGNATURE_INVALID"
    code = "foundation.signature_invalid"


class KeyUnextractable(KeyStoreError):
    ckr = "CKR_KEY_UNEXTRACTABLE"
    code = "foundation.key_unextractable"
    kind = Kind.FORBIDDEN


class TokenPinIncorrect(KeyStoreError):
    ckr = "CKR_PIN_INCORRECT"
    code = "foundation.token_pin_incorrect"
    kind = Kind.FORBIDDEN


class TokenPinLocked(KeyStoreError):
    ckr = "CKR_PIN_LOCKED"
    code = "foundation.token_pin_locked"
    kind = Kind.THROTTLED


class TokenPinInvalid(KeyStoreError):
    ckr = "CKR_PIN_LEN_RANGE"
    code = "foundation.token_pin_invalid"
    kind = Kind.INVALID


class TokenInUse(KeyStoreError):
    ckr = "CKR_CANT_LOCK"
    code = "foundation.token_in_use"
    kind = Kind.CONFLICT


class CardsInvalid(KeyStoreError):
    ckr = "CKR_ARGUMENTS_BAD"
    code = "foundation.cards_invalid"
    kind = Kind.INVALID


class NoCards(KeyStoreError):
    ckr = "CKR_USER_PIN_NOT_INITIALIZED"
    code = "foundation.token_without_cards"
    kind = Kind.CONFLICT


class CardsRequired(KeyStoreError):
    ckr = "CKR_USER_PIN_NOT_INITIALIZED"
    code = "foundation.token_cards_required"
    kind = Kind.UNAVAILABLE


class CardsUnreadable(KeyStoreError):
    ckr = "CKR_PIN_INVALID"
    code = "foundation.cards_unreadable"
    kind = Kind.INVALID


class CardsMixed(KeyStoreError):
    ckr = "CKR_PIN_INCORRECT"
    code = "foundation.cards_mixed"
    kind = Kind.FORBIDDEN


class CardsForeign(KeyStoreError):
    ckr = "CKR_PIN_INCORRECT"
    code = "foundation.cards_foreign"
    kind = Kind.FORBIDDEN


class CardsRepeated(KeyStoreError):
    ckr = "CKR_PIN_INCORRECT"
    code = "foundation.cards_repeated"
    kind = Kind.FORBIDDEN


class CardsTooFew(KeyStoreError):
    ckr = "CKR_PIN_INCORRECT"
    code = "foundation.cards_too_few"
    kind = Kind.FORBIDDEN


class CustodiansInvalid(KeyStoreError):
    ckr = "CKR_ARGUMENTS_BAD"
    code = "foundation.custodians_invalid"
    kind = Kind.INVALID


class RequestInvalid(KeyStoreError):
    ckr = "CKR_ARGUMENTS_BAD"
    code = "foundation.quorum_request_invalid"
    kind = Kind.INVALID


class ApprovalInvalid(KeyStoreError):
    ckr = "CKR_SIGNATURE_INVALID"
    code = "foundation.quorum_approval_invalid"
    kind = Kind.FORBIDDEN


class QuorumTooFew(KeyStoreError):
    ckr = "CKR_USER_NOT_LOGGED_IN"
    code = "foundation.quorum_too_few"
    kind = Kind.FORBIDDEN


class QuorumRequired(KeyStoreError):
    ckr = "CKR_USER_NOT_LOGGED_IN"
    code = "foundation.quorum_required"
    kind = Kind.FORBIDDEN


class BackupInvalid(KeyStoreError):
    ckr = "CKR_DATA_INVALID"
    code = "foundation.token_backup_invalid"
    kind = Kind.INVALID


class BackupExists(KeyStoreError):
    ckr = "CKR_ARGUMENTS_BAD"
    code = "foundation.token_backup_exists"
    kind = Kind.CONFLICT


class TokenFormatUnsupported(KeyStoreError):
    ckr = "CKR_TOKEN_NOT_RECOGNIZED"
    code = "foundation.token_format_unsupported"
    kind = Kind.UNAVAILABLE


class TokenNotInitialised(KeyStoreError):
    ckr = "CKR_TOKEN_NOT_RECOGNIZED"
    code = "foundation.token_not_initialised"
    kind = Kind.UNAVAILABLE


class TokenAlreadyInitialised(KeyStoreError):
    ckr = "CKR_SESSION_EXISTS"
    code = "foundation.token_already_initialised"
    kind = Kind.CONFLICT


class NotLoggedIn(KeyStoreError):
    ckr = "CKR_USER_NOT_LOGGED_IN"
    code = "foundation.token_not_logged_in"
    kind = Kind.UNAVAILABLE


class RoleNotAllowed(KeyStoreError):
    ckr = "CKR_USER_TYPE_INVALID"
    code = "foundation.token_role_not_allowed"
    kind = Kind.FORBIDDEN


class TokenUnavailable(KeyStoreError):
    ckr = "CKR_DEVICE_REMOVED"
    code = "foundation.token_unavailable"
    kind = Kind.UNAVAILABLE


class PinIncorrect(KeyStoreError):
    ckr = "CKR_PIN_INCORRECT"
    code = "foundation.pin_incorrect"
    kind = Kind.FORBIDDEN


class PinLocked(KeyStoreError):
    ckr = "CKR_PIN_LOCKED"
    code = "foundation.pin_locked"
    kind = Kind.THROTTLED


class PinInvalid(KeyStoreError):
    ckr = "CKR_PIN_INVALID"
    code = "foundation.pin_invalid"
    kind = Kind.INVALID


class CodeUsed(KeyStoreError):
    ckr = "CKR_PIN_EXPIRED"
    code = "foundation.code_used"
    kind = Kind.FORBIDDEN


class FactorsNotEnrolled(KeyStoreError):
    ckr = "CKR_USER_PIN_NOT_INITIALIZED"
    code = "foundation.factors_not_enrolled"
    kind = Kind.CONFLICT


class FactorsEnrolled(KeyStoreError):
    ckr = "CKR_USER_ALREADY_LOGGED_IN"
    code = "foundation.factors_enrolled"
    kind = Kind.CONFLICT


class LastFactor(KeyStoreError):
    ckr = "CKR_ACTION_PROHIBITED"
    code = "foundation.last_factor"
    kind = Kind.CONFLICT


class PasskeyInvalid(KeyStoreError):
    ckr = "CKR_PIN_INCORRECT"
    code = "foundation.passkey_invalid"
    kind = Kind.FORBIDDEN


class PasskeyCloned(KeyStoreError):
    ckr = "CKR_PIN_INCORRECT"
    code = "foundation.passkey_cloned"
    kind = Kind.FORBIDDEN


class PasskeysUnavailable(KeyStoreError):
    ckr = "CKR_FUNCTION_NOT_SUPPORTED"
    code = "foundation.passkeys_unavailable"
    kind = Kind.UNAVAILABLE


class MethodRefused(KeyStoreError):
    ckr = "CKR_USER_TYPE_INVALID"
    code = "foundation.method_refused"
    kind = Kind.FORBIDDEN


class ActivationRequired(KeyStoreError):
    ckr = "CKR_USER_NOT_LOGGED_IN"
    code = "foundation.activation_required"
    kind = Kind.FORBIDDEN


class ActivationInvalid(KeyStoreError):
    ckr = "CKR_PIN_EXPIRED"
    code = "foundation.activation_invalid"
    kind = Kind.FORBIDDEN


class OwnerDestroyed(KeyStoreError):
    ckr = "CKR_KEY_HANDLE_INVALID"
    code = "foundation.owner_destroyed"
    kind = Kind.NOT_FOUND


class WrappedKeyInvalid(KeyStoreError):
    ckr = "CKR_WRAPPED_KEY_INVALID"
    code = "foundation.wrapped_key_invalid"
    kind = Kind.INVALID


class AttestationUnsupported(KeyStoreError):
    """The token signs no statements about its keys. ``emulated``: whether there is no hardware behind it."""

    ckr = "CKR_FUNCTION_NOT_SUPPORTED"
    code = "foundation.attestation_unsupported"
    kind = Kind.FORBIDDEN


class AttestationInvalid(KeyStoreError):
    ckr = "CKR_SIGNATURE_INVALID"
    code = "foundation.attestation_invalid"
    kind = Kind.INVALID


class RotationUnderWay(KeyStoreError):
    ckr = "CKR_OPERATION_ACTIVE"
    code = "foundation.rotation_under_way"
    kind = Kind.CONFLICT


class StoreRolledBack(KeyStoreError):
    ckr = "CKR_DEVICE_ERROR"
    code = "foundation.token_store_rolled_back"
    kind = Kind.UNAVAILABLE


class AuditBroken(KeyStoreError):
    ckr = "CKR_DEVICE_ERROR"
    code = "foundation.token_audit_broken"
