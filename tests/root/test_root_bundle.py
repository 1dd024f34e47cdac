"""Twins and successors of a root in the trust bundle: statements count only where both of their roots are anchors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import foundation.db.audit
import issuing_ca.store
from camtrust.errors import RootsRefused
from camtrust.home import Home
from camtrust.trust import operator_certificate, roots_of
from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.handles import private_key
from foundation.keys.port import KeyUse
from foundation.x509.pem import read_certificate
from issuing_ca.errors import AuthorityRefused
from issuing_ca.root_updates import RootUpdates
from root_ca.ceremony_file import load_ceremony
from root_ca.service import perform
from signing.verify.bundle import Bundle, BundleContents, BundleProblem, read_bundle
from signing.verify.bundle_export import export_bundle
from signing.verify.errors import BundleNotMade
from tests.root.conftest import Done
from tests.root.life_world import live, moment, write
from tests.root.root_world import NOW, MemoryKeyStore, perform_all, prepare, say

Export = Callable[[BundleContents], bytes]


@dataclass
class _Authority:
    root: x509.Certificate


class _Authorities:
    """The part of the issuing CA that knows under which roots it stands."""

    def __init__(self, *roots: x509.Certificate) -> None:
        self._all = [_Authority(root) for root in roots]

    @property
    def authorities(self) -> _Authorities:
        return self

    def all(self) -> list[_Authority]:
        return self._all


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Makes a bundle that an operator of its own signs."""
    home, store = Home.make(tmp_path_factory.mktemp("operator")), MemoryKeyStore()
    signer = operator_certificate(home, store, SetClock(NOW), True)
    key = private_key(store, store.find(use=KeyUse.TRUST_LIST)[0])
    return lambda contents: export_bundle(contents, [(key, signer)])


def _certificate(done: Done, name: str) -> x509.Certificate:
    return read_certificate((done.folder / f"{name}.pem").read_bytes(), name)


@pytest.fixture
def contents(lived: Done) -> BundleContents:
    """A bundle with both twins as anchors, and their statement."""
    return BundleContents(
        sequence=1,
        issued=NOW + timedelta(minutes=5),
        expires=NOW + timedelta(days=5),
        specimen=True,
        anchors=(_certificate(lived, "root"), _certificate(lived, "twin")),
        twins=(_certificate(lived, "twin-by-new"), _certificate(lived, "twin-by-old")),
    )


def test_a_bundle_carries_the_statement_of_twins(contents: BundleContents, export: Export) -> None:
    """Both halves come out again; a bundle without twins has no such list, as before."""
    octets = export(contents)
    claimed = read_bundle(octets, frozenset())
    assert isinstance(claimed, BundleProblem)
    assert claimed.claimed is not None
    read = read_bundle(octets, frozenset(claimed.claimed.signers))
    assert isinstance(read, Bundle)
    assert set(read.contents.twins) == set(contents.twins)
    assert b'"twins"' in octets
    assert b'"twins"' not in export(replace(contents, twins=()))


def test_half_a_statement_or_one_about_strangers_is_no_bundle(
    contents: BundleContents, export: Export, lived: Done
) -> None:
    """BND-TWINS: one root's word alone, a root that is no anchor, and a certificate that carries no statement."""
    for wrong in (
        replace(contents, twins=contents.twins[:1]),
        replace(contents, anchors=contents.anchors[:1]),
        replace(contents, twins=(contents.twins[0], _certificate(lived, "cross"))),
    ):
        with pytest.raises(BundleNotMade) as refusal:
            export(wrong)
        assert refusal.value.params["rule"] == "BND-TWINS"


def test_roots_for_the_bundle_come_from_a_transcript_that_verifies(done: Done, tmp_path: Path) -> None:
    """Twin, its statement, the second key and both links; refused after a change, and for other services."""
    folder, store = tmp_path / "living", MemoryKeyStore()
    folder.mkdir()
    perform_all(folder, store, prepare(folder))
    live(folder, store, ("6-twin.toml", "7-cross.toml", "8-licensed.toml"))
    path = write(folder, "9-rollover.toml", store)
    perform(load_ceremony(path), store, SetClock(moment("9-rollover.toml")), say)
    record = folder / "9-rollover.transcript.json"
    mine = Done(folder, store, done.acts)
    roots = roots_of(record, _Authorities(_certificate(mine, "root")))  # type: ignore[arg-type]
    assert roots.anchors == tuple(_certificate(mine, name) for name in ("root", "twin", "root-2"))
    assert set(roots.links) == {_certificate(mine, name) for name in ("old-with-new", "new-with-old")}
    assert set(roots.twins) == {_certificate(mine, name) for name in ("twin-by-new", "twin-by-old")}
    with pytest.raises(RootsRefused):
        roots_of(record, _Authorities(_certificate(done, "root")))  # type: ignore[arg-type]
    (folder / "twin.pem").write_bytes((folder / "root.pem").read_bytes())
    with pytest.raises(RootsRefused):
        roots_of(record, _Authorities(read_certificate((folder / "root.pem").read_bytes())))  # type: ignore[arg-type]


def test_a_rollover_is_what_cmp_clients_are_given(lived: Done, sqlite_database: Database) -> None:
    """The ceremony's new root and both links are taken as an update of the first root; with the links swapped, not."""
    clock = SetClock(moment("9-rollover.toml") + timedelta(hours=1))
    issuing_ca.store.metadata.create_all(sqlite_database.engine)
    foundation.db.audit.metadata.create_all(sqlite_database.engine)
    with sqlite_database.unit_of_work() as connection:
        foundation.db.audit.create_head(connection)
    old, new, by_old, by_new = (
        _certificate(lived, name) for name in ("root", "root-2", "new-with-old", "old-with-new")
    )
    trail = foundation.db.audit.AuditTrail(clock)
    updates = RootUpdates(sqlite_database, _Authorities(old), clock, trail)  # type: ignore[arg-type]
    with pytest.raises(AuthorityRefused):
        updates.install(new, by_new, by_old, "operator:specimen")
    made = updates.install(new, by_old, by_new, "operator:specimen")
    assert updates.of(old.public_bytes(Encoding.DER)) == made
    assert made.new_with_new == new.public_bytes(Encoding.DER)


def test_a_root_that_has_ended_is_no_anchor_any_more(lived: Done) -> None:
    """After its end neither the first root nor what it is a part of goes into a bundle."""
    roots = roots_of(lived.folder / "12-destroy.transcript.json", _Authorities())  # type: ignore[arg-type]
    assert roots.anchors == (_certificate(lived, "twin"), _certificate(lived, "root-2"))
    assert roots.links == roots.twins == ()
