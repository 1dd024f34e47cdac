"""Services' keys in SoftHSM2, persons' in the emulated HSM: one key store, one CA, one demo."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkcs11.constants import Attribute, ObjectClass
from starlette.testclient import TestClient

from camtrust.doors import application
from camtrust.home import Home
from camtrust.server import opened
from camtrust.settings import KeySettings, Settings
from camtrust.split_keys import SplitKeys
from foundation.clock import SetClock, SystemClock
from foundation.db.engine import Database
from foundation.keys.capabilities import Feature
from foundation.keys.errors import AttestationUnsupported, KeyHandleInvalid
from foundation.keys.pkcs11 import open_pkcs11, signing
from foundation.keys.pkcs11.store import Pkcs11KeyStore
from foundation.keys.port import KeyAlgorithm, KeyStore, KeyUse, Mechanism
from foundation.x509.profile import Profile
from hsm_emulation.client import HsmClient
from issuing_ca.attestations import check_unattested
from issuing_ca.errors import EmulatedKeyRefused, KeyNotAttested
from issuing_ca.model import Reason
from issuing_ca.service import packaged_profiles
from tests.ca.ca_world import OPERATOR, make_world
from tests.ca.test_ca_ocsp import request
from tests.ca.test_ca_timestamps import DOCUMENT, failure
from tests.keys.contract import KeyStoreContract, fresh
from tests.keys.extensions import Past
from tests.keys.softhsm import PIN, SoftHsm
from tests.programs import run

LABEL = "split"


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """A module of this file's own."""
    made = SoftHsm.new(tmp_path_factory.mktemp("softhsm"))
    for label in (LABEL, "demo"):
        made.token(label)
    return made


@pytest.fixture(scope="module")
def module(softhsm: SoftHsm) -> Iterator[Pkcs11KeyStore]:
    """Opened by a module file and a configuration that nobody else in this process has loaded."""
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ.update(softhsm.environment)
    with open_pkcs11(softhsm.address(LABEL), PIN) as opened:
        yield opened
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def keys(module: Pkcs11KeyStore, token: HsmClient) -> SplitKeys:
    return SplitKeys(module, token)


class TestSplit(KeyStoreContract):
    """The whole contract of key stores, on both together."""

    @pytest.fixture
    def store(self, keys: SplitKeys) -> KeyStore:
        return keys

    @pytest.fixture
    def past(self, module: Pkcs11KeyStore, token: HsmClient) -> Past:
        """As any program finds the key that is logged in, wherever it is."""

        def sign(key_id: str, mechanism: Mechanism, data: bytes) -> bytes:
            wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: bytes.fromhex(key_id)}
            found = module._connection.run(lambda session: session.search(wanted))
            if not found:
                return token.sign(key_id, mechanism, data)
            return module._connection.run(
                lambda session: signing.sign(session.search(wanted)[0], mechanism, data, module.capabilities())
            )

        return sign

    @pytest.mark.parametrize("feature", [one for one in Feature if one is not Feature.ATTESTATION])
    def test_extensions(self, store: KeyStore, past: Past, feature: Feature) -> None:
        """As in the contract; attestation is there for persons' keys and not for the others, see below."""
        super().test_extensions(store, past, feature)


def test_a_key_is_where_its_use_says(keys: SplitKeys, module: Pkcs11KeyStore, token: HsmClient) -> None:
    """Services' keys in the module and persons' in the emulated HSM, and not in both."""
    owner = fresh("owner")
    seal = keys.generate(fresh("seal"), KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL, owner)
    citizen = keys.generate(fresh("citizen"), KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, owner)
    assert module.get(seal.key_id) == seal
    assert token.get(citizen.key_id) == citizen
    for store, key_id in ((module, citizen.key_id), (token, seal.key_id)):
        with pytest.raises(KeyHandleInvalid):
            store.get(key_id)
    assert set(keys.find(owner=owner)) == {seal, citizen}
    keys.set_enabled(citizen.key_id, False)
    assert not token.get(citizen.key_id).enabled


def test_a_services_key_in_the_emulated_hsm_is_not_used(keys: SplitKeys, token: HsmClient) -> None:
    """What was made before the setting was changed is not found: it is so or nothing works, and never quietly else."""
    old = token.generate(fresh("issuing"), KeyAlgorithm.EC_P256, KeyUse.ISSUING_CA)
    assert keys.find(label=old.label) == ()
    for call in (
        lambda: keys.get(old.key_id),
        lambda: keys.sign(old.key_id, Mechanism.ECDSA_SHA256, b"SPECIMEN"),
        lambda: keys.set_enabled(old.key_id, False),
        lambda: keys.destroy(old.key_id),
        lambda: keys.attest(old.key_id),
    ):
        with pytest.raises(KeyHandleInvalid):
            call()
    assert token.get(old.key_id).enabled


def test_no_statement_is_made_up(keys: SplitKeys) -> None:
    """A module signs no statements: refused by name, and whether it is emulated; persons' keys are vouched for."""
    seal = keys.generate(fresh("seal"), KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    with pytest.raises(AttestationUnsupported) as told:
        keys.attest(seal.key_id)
    assert told.value.params == {"emulated": True}
    citizen = keys.generate(fresh("citizen"), KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, fresh("owner"))
    assert keys.attest(citizen.key_id)


def test_what_a_silent_token_may_be_certified_for(keys: SplitKeys) -> None:
    """Services' keys alone; an emulated module's by profiles that allow emulated keys (KEY-ATTEST-SILENT, -KIND)."""
    allows: Profile = packaged_profiles()["ocsp-responder"]
    seal = keys.generate(fresh("seal"), KeyAlgorithm.EC_P256, KeyUse.ORGANISATION_SEAL)
    citizen = keys.generate(fresh("citizen"), KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN, fresh("owner"))
    check_unattested(allows, seal, emulated=True)
    with pytest.raises(KeyNotAttested):
        check_unattested(allows, citizen, emulated=False)
    refuses = allows.model_copy(update={"emulated_keys": "refuse"})
    check_unattested(refuses, seal, emulated=False)
    with pytest.raises(EmulatedKeyRefused):
        check_unattested(refuses, seal, emulated=True)


def test_a_ca_on_a_module(
    sqlite_database: Database,
    clock: SetClock,
    keys: SplitKeys,
    module: Pkcs11KeyStore,
    softhsm: SoftHsm,
    tmp_path: Path,
) -> None:
    """Both CAs, responder and timestamping unit live in SoftHSM2; certificate, status, list and timestamp verify, a
    person's key stays in the emulated HSM, and suspending its certificate disables it there.
    """
    world = make_world(sqlite_database, clock, keys, tmp_path)  # type: ignore[arg-type]
    ca, person = world.ca, world.person()
    issued = ca.issue_citizen(person)
    issuing, tsa = (ca.authorities.get(name).certificate for name in ("issuing", "tsa"))
    chain = world.write("chain.pem", issuing)
    root = world.write("root.pem", world.root.certificate)
    leaf = world.write("leaf.pem", issued.certificate.public_bytes(Encoding.PEM))
    assert run("openssl", "verify", "-CAfile", root, "-untrusted", chain, leaf).stdout.strip().endswith("OK")
    assert ca.fresh_ocsp(issued.certificate) is not None
    assert ca.ocsp.answer(request(issued.certificate, issuing)).status.value == 0
    digest = hashlib.sha256(DOCUMENT).digest()
    asked = tsp.TimeStampReq(
        {"version": 1, "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}}
    ).dump()
    assert failure(ca.timestamps.timestamp(asked)) is None
    assert ca.timestamps.certificate().verify_directly_issued_by(tsa) is None
    ca.revoke(issued.serial, Reason.CERTIFICATE_HOLD, OPERATOR)
    assert not keys.get(person.key_id).enabled
    assert x509.load_der_x509_crl(ca.current_crl("issuing")).get_revoked_certificate_by_serial_number(
        issued.certificate.serial_number
    )
    uses = {info.use for info in module.find() if info.label.startswith(world.prefix)}
    assert uses == {KeyUse.ISSUING_CA, KeyUse.TSA_CA, KeyUse.OCSP_RESPONDER, KeyUse.TSA}
    said = softhsm.tool(LABEL, "--list-objects", "--type", "privkey")
    assert world.prefix in said
    assert "citizen" not in said


def test_the_demo_on_softhsm(softhsm: SoftHsm, module: Pkcs11KeyStore, tmp_path: Path) -> None:
    """``camtrust demo`` with ``keys.uri = "pkcs11:…"``: everything is told and valid, the services' keys are in the
    module, and what is emulated is said.
    """
    home, pin = tmp_path / "home", tmp_path / "pin"
    pin.write_text(PIN)
    setting = {"CAMTRUST_KEYS__URI": softhsm.address("demo"), "CAMTRUST_KEYS__PIN_FILE": str(pin)}
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            "from camtrust.cli.main import main; main()",
            "--json",
            "demo",
            "--home",
            str(home),
        ],
        env={**os.environ, **softhsm.environment, **setting},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    documents = json.loads(done.stdout)["documents"]
    assert documents["signed"] == documents["verdicts"]["TOTAL-PASSED"] == 3
    said = softhsm.tool("demo", "--list-objects", "--type", "privkey")
    assert sum("Private Key Object" in line for line in said.splitlines()) >= 4
    assert PIN not in done.stdout + done.stderr
    settings = Settings(keys=KeySettings(uri=softhsm.address("demo"), pin_file=pin))
    with opened(Home.open(home), settings, SystemClock()) as services:
        ready = TestClient(application(services)).get("/readyz").json()
    assert ready["emulated"] == ["software_module", "person_keys", "notifications", "registry"]
    assert set(ready["checks"].values()) == {"ok"}
