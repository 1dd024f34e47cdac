"""Signing without a smartphone: a card with printed codes, or a device with a button (HOTP) that an officer hands over.

The key daemon makes and judges the codes (`foundation.keys.factors`); they stand where those of an app stand. A card is
printed once, from the answer that holds its codes. Devices come with a file of seeds, which the daemon seals as it is
brought in: from then on the services keep nothing that gives a code. An officer who has the person before them allots
one; only then the person can bind it, with a PIN and a code of it. Check: EKYC-WITHOUT-PHONE.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Column, Connection, ForeignKey, LargeBinary, Row, String, Table, select

from ekyc import store
from ekyc.casefile import CaseFiles
from ekyc.errors import EkycError
from ekyc.model import Enrolment, State
from ekyc.ports import CardPrinter
from ekyc.review.desk import ReviewDesk
from ekyc.store import enrolments, metadata
from foundation.db.engine import StaleWrite, compare_and_set
from foundation.db.once import insert_once
from foundation.db.types import UtcDateTime
from foundation.errors import Kind
from foundation.http.actor import Actor
from foundation.keys.factors import PersonFactors

SERIAL = re.compile(r"[A-Z0-9][A-Z0-9-]{3,39}")

otp_devices = Table(
    "ekyc_otp_devices",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("imported_by", String(200), nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    Column("enrolment_id", String(40), ForeignKey(enrolments.c.id), nullable=True, index=True),
    Column("allotted_by", String(200), nullable=True),
    Column("allotted_at", UtcDateTime, nullable=True),
)


class DeviceUnknown(EkycError):
    """No such device, or somebody has it."""

    code = "ekyc.device_unknown"
    kind = Kind.NOT_FOUND


class DeviceNotAllotted(EkycError):
    """No officer allotted one."""

    code = "ekyc.device_not_allotted"
    kind = Kind.CONFLICT


class DeviceFileInvalid(EkycError):
    """``problem``: what is wrong with the file, without a seed."""

    code = "ekyc.device_file_invalid"
    kind = Kind.INVALID


@dataclass(frozen=True)
class DeviceSeed:
    """One device of a file."""

    serial: str
    seed: bytes = field(repr=False)


class WithoutPhoneDesk:
    """Cards and devices."""

    def __init__(self, files: CaseFiles, factors: PersonFactors, review: ReviewDesk, printer: CardPrinter) -> None:
        self._files, self._factors, self._review, self._printer = files, factors, review, printer

    def print_card(self, actor: Actor, enrolment_id: str, pin: str, *, if_version: int | None = None) -> bytes:
        """Set the PIN and print the card: a PDF, once; a new one ends it until a code of it was shown.

        Raises WrongState, PinInvalid, FactorsEnrolled.
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, State.APPROVED, if_version=if_version)
        codes = self._factors.enrol_card(enrolment.person_id, pin)
        with files.database.unit_of_work() as connection:
            files.audit.append(connection, str(actor), "ekyc.code_card_printed", enrolment.id, {})
        return self._printer.card(codes, enrolment.id, files.clock.now())

    def import_devices(self, by: str, devices: Sequence[DeviceSeed]) -> int:
        """Have the seeds sealed and keep them; gives how many were new. What is there already stays as it is.

        Raises DeviceFileInvalid, and then keeps none.
        """
        files, now = self._files, self._files.clock.now()
        if len({one.serial for one in devices}) != len(devices):
            raise DeviceFileInvalid(problem="a serial number stands twice")
        for one in devices:
            if not SERIAL.fullmatch(one.serial) or not 16 <= len(one.seed) <= 64:
                raise DeviceFileInvalid(problem="a serial number or a seed has not the right form")
        rows = [
            {
                "serial": one.serial,
                "sealed": self._factors.seal_device(one.serial, one.seed),
                "imported_by": by,
                "imported_at": now,
            }
            for one in devices
        ]
        with files.database.unit_of_work() as connection:
            new = sum(insert_once(connection, otp_devices, row) for row in rows)
            files.audit.append(connection, by, "ekyc.devices_imported", "devices", {"count": new})
        return new

    def allot(self, officer: Actor, enrolment_id: str, serial: str, *, if_version: int | None = None) -> Enrolment:
        """The officer has the person before them and hands the device over. What was handed over last counts.

        Raises EnrolmentUnknown, WrongState, SelfReview, DeviceUnknown.
        """
        files = self._files
        with files.database.read() as connection:
            enrolment = store.load(connection, enrolment_id)
        files.check(enrolment, State.APPROVED, if_version=if_version)
        self._review.not_their_own(officer, enrolment)
        values = {"enrolment_id": enrolment.id, "allotted_by": str(officer), "allotted_at": files.clock.now()}
        columns = otp_devices.c
        try:
            with files.step(enrolment) as connection:
                compare_and_set(
                    connection, otp_devices, (columns.serial == serial) & columns.enrolment_id.is_(None), values
                )
                details = {"serial": serial}
                files.audit.append(connection, str(officer), "ekyc.device_allotted", enrolment.id, details)
                return files.touch(connection, enrolment)
        except StaleWrite:
            if not self._free(serial):
                raise DeviceUnknown from None
            raise

    def bind_device(self, actor: Actor, enrolment_id: str, pin: str, *, if_version: int | None = None) -> str:
        """Set the PIN for the device that was allotted last; gives its serial number. A code of it confirms it.

        Raises WrongState, DeviceNotAllotted, PinInvalid, FactorsEnrolled.
        """
        files = self._files
        enrolment = files.begin(actor, enrolment_id, State.APPROVED, if_version=if_version)
        with files.database.read() as connection:
            row = allotted(connection, enrolment.id)
        if row is None:
            raise DeviceNotAllotted
        self._factors.enrol_device(enrolment.person_id, pin, row.serial, bytes(row.sealed))
        with files.database.unit_of_work() as connection:
            files.audit.append(connection, str(actor), "ekyc.device_bound", enrolment.id, {"serial": row.serial})
        return str(row.serial)

    def _free(self, serial: str) -> bool:
        columns = otp_devices.c
        query = select(columns.serial).where((columns.serial == serial) & columns.enrolment_id.is_(None))
        with self._files.database.read() as connection:
            return connection.execute(query).first() is not None


def allotted(connection: Connection, enrolment_id: str) -> Row[tuple[str, bytes, str, datetime]] | None:
    """The device that an enrolment was given last."""
    query = select(otp_devices).where(otp_devices.c.enrolment_id == enrolment_id)
    return connection.execute(query.order_by(otp_devices.c.allotted_at.desc(), otp_devices.c.serial)).first()
