"""Texts that a person signs on a page with their own key: a mandate, the release of a seal.

Such a text is a document of theirs, signed beside it (CAdES) like any other: by passkey for exactly this text, or by
PIN and code, with a timestamp, and in the history of their key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.errors import CamTrustError
from foundation.http.actor import Actor
from signing.approval import Asked
from signing.errors import DocumentNotFound
from signing.forms import Form, Format, Packaging
from signing.model import Credential, DocumentState, Outcome
from signing.service import SigningService

_FORM = Form(Format.CADES, Packaging.DETACHED)
_LOOKED_THROUGH = 50


@dataclass(frozen=True)
class Statements:
    """Signs texts."""

    signing: SigningService

    def by_code(
        self, person: Actor, credentials: Sequence[Credential], name: str, text: bytes, pin: str, code: str
    ) -> str:
        """Gives the id of the signed document. Raises what `SigningService.authorise` does: then it is gone again."""
        document_id = self._document(person, name, text)
        try:
            credential = credentials[0].credential_id if credentials else ""
            outcomes = self.signing.authorise(person, credential, [document_id], pin=pin, totp=code)
            return _signed(outcomes)
        except CamTrustError:
            self.signing.delete(person, document_id)
            raise

    def ask(self, person: Actor, credential: str, name: str, text: bytes) -> Asked:
        """Have the person's device asked about exactly this text."""
        return self.signing.ask_passkey(person, credential, [self._document(person, name, text)])

    def by_passkey(self, person: Actor, question: str, assertion: str) -> str:
        """Gives the id of the signed document. Raises what `SigningService.answer_passkey` does."""
        return _signed(self.signing.answer_passkey(person, question, assertion))

    def _document(self, person: Actor, name: str, text: bytes) -> str:
        """The text among the person's documents; one that was asked about before and not signed is taken again."""
        for one in self.signing.documents(person, limit=_LOOKED_THROUGH).documents:
            document = one.document
            waits = document.state in (DocumentState.UPLOADED, DocumentState.PREPARED)
            if waits and document.form == _FORM and one.name == name and document.size == len(text):
                self.signing.delete(person, document.document_id)
        return self.signing.upload(person, name, text, form=_FORM).document.document_id


def _signed(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        raise DocumentNotFound
    if outcomes[0].error is not None:
        raise outcomes[0].error
    return outcomes[0].document_id
