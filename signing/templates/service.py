"""The use cases of templates: proposing, looking, approving, withdrawing.

TP-OWN      a template is its organisation's alone: proposed by a representative whose certificate is good, or a client
TP-OFFICER  an officer approves exactly the digest that they name, and never for an organisation that they represent
TP-COPY     an image that is another organisation's approved seal is not taken, octet for octet; likeness is the
            officer's to see
TP-SOUND    what is kept is used only while its digest is the one that was approved (`signing.templates.approved`)
TP-LEFT     withdrawn, it is used no more; an organisation that left has none
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.clock import Clock
from foundation.db.audit import AuditTrail
from foundation.db.engine import Database
from foundation.http.actor import Actor, ActorKind
from foundation.randomness import Randomness
from signing.agencies.errors import AgencyStateConflict
from signing.agencies.model import Agency
from signing.agencies.service import Agencies
from signing.errors import NoPlaceForSignature
from signing.ports import SealImages
from signing.sign.pades import Stamps
from signing.templates import store
from signing.templates.appearance import Appearance, is_name
from signing.templates.errors import (
    SealImageRefused,
    SealImageTaken,
    TemplateInvalid,
    TemplateNotFound,
    TemplateOther,
    TemplateStateConflict,
)
from signing.templates.model import Template, TemplateState

MAX_TEMPLATES = 20
"""Templates of one organisation that wait or are approved."""
MAX_PAGE = 100
MAX_IMAGE = 2 * 1024 * 1024
"""Octets of an image as it comes."""
_FORMATS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_LONGEST_MARK = "SANDBOX SPECIMEN"


class Templates:
    """Templates of organisations."""

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        randomness: Randomness,
        agencies: Agencies,
        images: SealImages,
        stamps: Stamps,
    ) -> None:
        self._database, self._audit, self._clock, self._randomness = database, audit, clock, randomness
        self._agencies, self._images, self._stamps = agencies, images, stamps

    def propose(
        self, actor: Actor, agency_id: str, name: str, asked: Mapping[str, Any], image: bytes | None
    ) -> Template:
        """Propose an appearance (`Appearance.read`) with a seal image, PNG or JPEG. One that is approved under the name
        is used until this one is.

        Raises AgencyNotFound, RepresentativeWithoutCertificate, AgencyStateConflict, TemplateInvalid, SealImageRefused,
        SealImageTaken, TemplateStateConflict, and what the confined process raises where it cannot work now.
        """
        agency = self._acting(actor, agency_id)
        if not is_name(name):
            raise TemplateInvalid(field="name")
        Appearance.read(asked, None)  # before a process is started for its image
        appearance = Appearance.read(asked, None if image is None else self._clean(image))
        self._draw(agency, appearance)
        one = Template(
            template_id=self._randomness.bytes(16).hex(),
            agency_id=agency_id,
            name=name,
            appearance=appearance,
            digest=appearance.digest(name),
            state=TemplateState.PROPOSED,
            version=0,
            proposed_by=str(actor),
            proposed_at=self._clock.now().replace(microsecond=0),
        )
        with self._database.unit_of_work() as connection:
            if store.living(connection, agency_id) >= MAX_TEMPLATES:
                raise TemplateStateConflict
            if store.is_of_another(connection, agency_id, appearance.picture):
                raise SealImageTaken
            store.insert(connection, one)
            self._tell(connection, actor, "signing.template_proposed", one)
        return one

    def list(self, actor: Actor, agency_id: str) -> tuple[Template, ...]:
        """An organisation's, the newest first; its own, or any for an officer. Raises AgencyNotFound."""
        self._agencies.visible(actor, agency_id)
        with self._database.read() as connection:
            return tuple(store.of_agency(connection, agency_id, MAX_PAGE))

    def show(self, actor: Actor, agency_id: str, template_id: str) -> Template:
        """One of them. Raises AgencyNotFound, TemplateNotFound."""
        self._agencies.visible(actor, agency_id)
        return self._found(agency_id, template_id)

    def preview(self, actor: Actor, agency_id: str, template_id: str) -> bytes:
        """A PDF of how it looks, with the organisation's names. Raises AgencyNotFound, TemplateNotFound."""
        agency = self._agencies.visible(actor, agency_id)
        return self._draw(agency, self._found(agency_id, template_id).appearance)

    def approve(self, officer: Actor, agency_id: str, template_id: str, digest: str) -> Template:
        """Let seals look so. ``digest``: of what the officer looked at. The one before of its name ends with that.

        Raises AgencyNotFound, AgencyOfficerInvolved, AgencyStateConflict, TemplateNotFound, TemplateOther,
        TemplateStateConflict, SealImageTaken.
        """
        agency = self._agencies.visible(officer, agency_id)
        self._agencies.require_uninvolved(officer, agency)
        if not agency.state.approved:
            raise AgencyStateConflict
        one = self._waiting(agency_id, template_id)
        if digest != one.digest or not one.sound:
            raise TemplateOther
        return self._decide(officer, one, TemplateState.APPROVED, "signing.template_approved")

    def refuse(self, officer: Actor, agency_id: str, template_id: str) -> Template:
        """Say no, for good. Raises AgencyNotFound, AgencyOfficerInvolved, TemplateNotFound, TemplateStateConflict."""
        self._agencies.require_uninvolved(officer, self._agencies.visible(officer, agency_id))
        one = self._waiting(agency_id, template_id)
        return self._decide(officer, one, TemplateState.REFUSED, "signing.template_refused")

    def withdraw(self, actor: Actor, agency_id: str, template_id: str) -> Template:
        """End its use, at once and for good; or take a proposal back. By its organisation or any officer.

        Raises AgencyNotFound, TemplateNotFound, TemplateStateConflict.
        """
        one = self.show(actor, agency_id, template_id)
        if one.state not in (TemplateState.PROPOSED, TemplateState.APPROVED):
            raise TemplateStateConflict
        return self._decide(actor, one, TemplateState.WITHDRAWN, "signing.template_withdrawn")

    # --------------------------------------------------------------------------------------------------------------

    def _decide(self, by: Actor, one: Template, state: TemplateState, action: str) -> Template:
        with self._database.unit_of_work() as connection:
            approved = state is TemplateState.APPROVED
            if approved and store.is_of_another(connection, one.agency_id, one.appearance.picture):
                raise SealImageTaken
            store.change(connection, one, state, str(by), self._clock.now())
            self._tell(connection, by, action, one)
        return self._found(one.agency_id, one.template_id)

    def _acting(self, actor: Actor, agency_id: str) -> Agency:
        if actor.kind is ActorKind.PERSON:
            return self._agencies.represented(actor, agency_id)
        agency = self._agencies.visible(actor, agency_id)
        if not agency.state.approved:
            raise AgencyStateConflict
        return agency

    def _clean(self, image: bytes) -> bytes:
        if len(image) > MAX_IMAGE:
            raise SealImageRefused(cause="too-large")
        if not image.startswith(_FORMATS):
            raise SealImageRefused(cause="format")
        return self._images.clean(image)

    def _draw(self, agency: Agency, appearance: Appearance) -> bytes:
        """With the longest that its certificates say of it. Raises TemplateInvalid where that does not fit."""
        from signing.sign import stamp_template  # drawing takes libraries that signing unseen does without

        name = f"{_LONGEST_MARK} {agency.name_latin}"
        said = {
            "name": name,
            "organisation": name,
            "number": agency.number,
            "time": "2026-01-01 00:00:00 +07:00",
            "reason": "",
        }
        address = self._stamps.address if appearance.qr else None
        try:
            return stamp_template.draw(appearance, said, address, appearance.size, self._stamps.fonts)
        except NoPlaceForSignature:
            raise TemplateInvalid(field="size") from None

    def _waiting(self, agency_id: str, template_id: str) -> Template:
        one = self._found(agency_id, template_id)
        if one.state is not TemplateState.PROPOSED:
            raise TemplateStateConflict
        return one

    def _found(self, agency_id: str, template_id: str) -> Template:
        with self._database.read() as connection:
            one = store.find(connection, agency_id, template_id)
        if one is None:
            raise TemplateNotFound
        return one

    def _tell(self, connection: Any, by: Actor, action: str, one: Template) -> None:
        details = {"agency": one.agency_id, "name": one.name, "digest": one.digest}
        self._audit.append(connection, str(by), action, one.template_id, details)
