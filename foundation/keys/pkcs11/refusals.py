"""What a plain PKCS#11 token has no function for, refused by name: persons' factors and keys, and statements.

They are here so that whoever holds any key store hears CKR_FUNCTION_NOT_SUPPORTED, and not that Python has no such
method. `Capabilities.features` says the same before the call.
"""

from __future__ import annotations

from typing import NoReturn

from foundation.keys.errors import AttestationUnsupported
from foundation.keys.pkcs11.errors import ActivationUnsupported, PersonKeysUnsupported


class WithoutPersons:
    """`Factors`, `PersonKeys`, `WrappedKeys` and `Attesting` of the port: each call refused, whatever it is given."""

    def _refuse_factors(self, *_: object, **__: object) -> NoReturn:
        raise ActivationUnsupported

    enrol = confirm = check = activate = _refuse_factors

    def _refuse_person_keys(self, *_: object, **__: object) -> NoReturn:
        raise PersonKeysUnsupported

    new_data_key = open_data_key = destroy_owner = _refuse_person_keys
    generate_wrapped = sign_wrapped = rewrap = wrapped_keys = _refuse_person_keys
    set_wrapped_enabled = destroy_wrapped = renew_person = _refuse_person_keys

    def _refuse_statements(self, *_: object, **__: object) -> NoReturn:
        raise AttestationUnsupported

    attest = token_key = _refuse_statements
