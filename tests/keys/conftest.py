"""SoftHSM2 for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from foundation.keys.pkcs11 import open_pkcs11
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from tests.keys.softhsm import PIN, SoftHsm


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """SoftHSM2 with three tokens, made before this process loads the module: it does not see later ones."""
    made = SoftHsm.new(tmp_path_factory.mktemp("softhsm"))
    for label in ("contract", "other", "stress"):
        made.token(label)
    os.environ.update(made.environment)
    return made


@pytest.fixture(scope="session")
def token_store(softhsm: SoftHsm) -> Iterator[Pkcs11KeyStore]:
    """The token ``contract``, opened once for the whole run; tests use labels and owners of their own."""
    with open_pkcs11(softhsm.address("contract"), PIN) as opened:
        yield opened


@pytest.fixture
def other_store(softhsm: SoftHsm) -> Iterator[Pkcs11KeyStore]:
    """The token ``other``, opened for one test."""
    with open_pkcs11(softhsm.address("other"), PIN) as opened:
        yield opened
