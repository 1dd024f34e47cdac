"""Responders and timestamping units that are made by the very request they answer."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from asn1crypto import tsp
from cryptography import x509
from cryptography.x509 import ocsp

from foundation.clock import SetClock
from foundation.db.engine import Database
from foundation.keys.port import KeyStore
from tests.ca.ca_world import make_world


class RunningClock(SetClock):
    """Each look at it moves a clock on by a second: as on a machine that is very busy."""

    def __init__(self, moved: SetClock) -> None:
        super().__init__(moved.now())
        self._moved = moved

    def now(self) -> datetime:
        self._moved.advance(timedelta(seconds=1))
        return self._moved.now()


def test_a_responder_is_valid_when_its_first_answer_says_so(
    database: Database, token: KeyStore, clock: SetClock, tmp_path: Path
) -> None:
    """The first OCSP response of a new responder is not dated before the responder's certificate begins."""
    world = make_world(database, RunningClock(clock), token, tmp_path)
    citizen = world.citizen()
    answer = world.ca.fresh_ocsp(citizen.certificate)
    assert answer is not None
    response = ocsp.load_der_ocsp_response(answer)
    assert response.certificates[0].not_valid_before_utc <= response.this_update_utc
    assert response.certificates[0].not_valid_before_utc <= response.produced_at_utc


def test_a_unit_is_valid_when_its_first_token_says_so(
    database: Database, token: KeyStore, clock: SetClock, tmp_path: Path
) -> None:
    """The first timestamp of a new unit is not dated before the unit's certificate begins."""
    world = make_world(database, RunningClock(clock), token, tmp_path)
    made = tsp.ContentInfo.load(world.ca.timestamps.token(hashlib.sha256(b"SPECIMEN").digest(), "sha256"))
    signed = made["content"]
    at: datetime = signed["encap_content_info"]["content"].parsed["gen_time"].native
    certificates = [x509.load_der_x509_certificate(one.dump()) for one in signed["certificates"]]
    unit = next(one for one in certificates if one.subject == world.ca.timestamps.certificate().subject)
    assert unit.not_valid_before_utc <= at
