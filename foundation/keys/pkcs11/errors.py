"""What the PKCS#11 adapter refuses by itself; the module's return values become classes of `foundation.keys.errors`.

KeyStoreError
├── KeyUriInvalid           keys.uri is no PKCS#11 address of a token, or names what does not belong there
├── HardwareSupportMissing  python-pkcs11 is not installed
├── ModuleInvalid           the module cannot be loaded, or not be used by several threads
├── TokenNotFound           no initialised token fits the address, or more than one
├── ActivationUnsupported   a key whose owner must approve each signature: a plain token cannot check that
├── PersonKeysUnsupported   data keys of persons: a plain token does not keep them
└── KeyUnprotected          the token made a key that is not as it was asked to be (extractable, not sensitive)
"""

from __future__ import annotations

from foundation.errors import Kind
from foundation.keys.errors import KeyStoreError


class KeyUriInvalid(KeyStoreError):
    """``part``: the attribute that is wrong, unknown or missing; never its value, which could be a PIN."""

    ckr = "CKR_ARGUMENTS_BAD"
    code = "foundation.key_uri_invalid"
    kind = Kind.INVALID


class HardwareSupportMissing(KeyStoreError):
    ckr = "CKR_FUNCTION_NOT_SUPPORTED"
    code = "foundation.hardware_support_missing"
    kind = Kind.UNAVAILABLE


class ModuleInvalid(KeyStoreError):
    ckr = "CKR_CANT_LOCK"
    code = "foundation.key_module_invalid"
    kind = Kind.UNAVAILABLE


class TokenNotFound(KeyStoreError):
    ckr = "CKR_TOKEN_NOT_PRESENT"
    code = "foundation.token_not_found"
    kind = Kind.UNAVAILABLE


class ActivationUnsupported(KeyStoreError):
    ckr = "CKR_FUNCTION_NOT_SUPPORTED"
    code = "foundation.activation_unsupported"
    kind = Kind.FORBIDDEN


class PersonKeysUnsupported(KeyStoreError):
    ckr = "CKR_FUNCTION_NOT_SUPPORTED"
    code = "foundation.person_keys_unsupported"
    kind = Kind.FORBIDDEN


class KeyUnprotected(KeyStoreError):
    ckr = "CKR_TEMPLATE_INCONSISTENT"
    code = "foundation.key_unprotected"
