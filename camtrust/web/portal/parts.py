"""What the pages stand on: the same services as the API, and the frame."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from camtrust.judging.judges import Judges
from camtrust.web.portal.layout import Layout, language_of
from camtrust.web.portal.session import Doorkeeper, Visit
from ekyc.authenticators.desk import AuthenticatorDesk
from ekyc.service import EkycService
from foundation.catalogue import Language
from foundation.clock import Clock
from foundation.errors import CamTrustError
from foundation.keys.activation import Method
from foundation.keys.factors import PersonFactors
from foundation.words import khmer_words, words
from identity.service import IdentityService
from issuing_ca.own_log import OwnLog
from issuing_ca.ra.service import Registration
from signing.agencies.overview import AgencyOverview
from signing.agencies.service import Agencies
from signing.credential_requests.service import CredentialRequests
from signing.csc.authorising import CscAuthorising
from signing.csc.prompts import Prompts
from signing.csc.responses import CscResponses
from signing.held.service import HeldSeals
from signing.model import Credential, CredentialStatus, Outcome
from signing.ports import Clients
from signing.preview.previews import Previews
from signing.requests.desk import RequestDesk
from signing.requests.views import WORDS
from signing.service import SigningService
from signing.templates.service import Templates


@dataclass(frozen=True)
class Parts:
    """Services and frame."""

    layout: Layout
    door: Doorkeeper
    identity: IdentityService
    signing: SigningService
    requests: RequestDesk
    prompts: Prompts
    held: HeldSeals
    agencies: Agencies
    overview: AgencyOverview
    clients: Clients
    own_log: OwnLog
    registration: Registration
    ekyc: EkycService
    previews: Previews
    factors: PersonFactors
    authenticators: AuthenticatorDesk
    judges: Judges
    clock: Clock
    authorising: CscAuthorising
    responses: CscResponses
    credential_requests: CredentialRequests
    templates: Templates

    def usable(self, visit: Visit) -> tuple[Credential, ...]:
        """The person's credentials that can sign now, the newest first."""
        now = self.clock.now()
        found = [
            one
            for one in self.signing.credentials(visit.person)
            if one.status is CredentialStatus.ACTIVE
            and one.signatory.certificate.not_valid_before_utc <= now <= one.signatory.certificate.not_valid_after_utc
        ]
        return tuple(reversed(found))

    def methods(self, visit: Visit) -> frozenset[Method]:
        """By what the person can approve."""
        return self.factors.factors_of(visit.person.id).methods

    def notes(self, visit: Visit, document_ids: Sequence[str], language: Language) -> dict[str, list[str]]:
        """What documents hide, as sentences; also that they could not be looked through."""
        try:
            found = self.previews.notes_of(visit.person, document_ids)
        except CamTrustError as error:
            return {one: [error.message(language)] for one in document_ids}
        return {document_id: [one.message(language) for one in notes] for document_id, notes in found.items()}


NO_PROBLEM: dict[str, Any] = {"problem": "", "next": "", "code": "", "failures": []}
"""What a page says of problems where there is none."""

ShownProblem = Callable[[CamTrustError, int], Response]


def show_problems(request: Request, page: ShownProblem) -> None:
    """Answer what fails in this request with this page; our script, which asks for JSON, gets the problem document."""
    if "application/json" not in request.headers.get("accept", ""):
        request.scope["camtrust.page"] = page


def problem_page(layout: Layout) -> Callable[[Request], Awaitable[None]]:
    """A dependency: what fails in this request is answered with a page."""

    async def as_page(request: Request) -> None:
        def page(error: CamTrustError, status: int) -> Response:
            return layout.page("portal/problem.html", request, status=status, signed_in=False, **told(error, request))

        show_problems(request, page)

    return as_page


def told(error: CamTrustError, request: Request) -> dict[str, str]:
    """A failure in the reader's language."""
    language = language_of(request)
    return {"problem": error.message(language), "next": error.hint(language), "code": error.code}


def failed(outcomes: tuple[Outcome, ...], request: Request) -> list[dict[str, str]]:
    """Why documents were not signed, each reason once."""
    found = {one.error.code: told(one.error, request) for one in outcomes if one.error is not None}
    return list(found.values())


def digest_words(sha256: bytes, language: Language) -> list[str]:
    """The first octets of a digest as words of the language."""
    first = sha256[:WORDS]
    return list(khmer_words(first) if language is Language.KM else words(first))
