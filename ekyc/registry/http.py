"""The base registry over HTTP, in the shape of the X-Road message protocol for REST (version ``r1``).

Personal data travels in the body, never in an address. Whatever is not a clear, complete answer to the very question
that was asked (same ``X-Road-Id``) counts as the registry being unavailable: then we wait.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ekyc.config import RegistryHttpSettings
from ekyc.documents.kinds import KHMER_ID_CARD
from ekyc.errors import RegistryUnavailable
from ekyc.ports import FieldOutcome, RegistryAnswer, RegistryOutcome, RegistryQuery, RelationQuery
from foundation.randomness import Randomness, SystemRandomness

_LARGEST = 16_384
_PERSON = frozenset({"document_number", "surname", "given_names", "date_of_birth", "sex"})
_COMPARED = _PERSON | {"surname_km", "given_names_km"}
_COMPARED_OF_RESIDENTS = _PERSON | {"issuing_state", "nationality", "residence"}
_COMPARED_OF_FAMILIES = frozenset({"child", "guardian", "relation"})
_OF_RESIDENTS = frozenset({"document_type", "issuing_state", "nationality"})
_KHMER = frozenset({"surname_km", "given_names_km"})


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    outcome: Literal["match", "no-match", "review"]
    fields: Annotated[dict[str, Literal["match", "mismatch", "not-compared"]], Field(max_length=20)]


class HttpRegistry:
    """A Registry behind a security server. Close it when done; it may be used by several threads."""

    def __init__(self, settings: RegistryHttpSettings, randomness: Randomness | None = None) -> None:
        self._settings = settings
        self._randomness = randomness or SystemRandomness()
        self._client = httpx2.Client(timeout=settings.timeout_seconds, follow_redirects=False, trust_env=False)

    def match(self, query: RegistryQuery) -> RegistryAnswer:
        """Ask once (see `ekyc.ports.Registry`). Raises RegistryUnavailable."""
        foreign = query.document_type != KHMER_ID_CARD
        unasked = _KHMER if foreign else _OF_RESIDENTS
        body = {name: value for name, value in vars(query).items() if name not in unasked}
        body["date_of_birth"] = query.date_of_birth.isoformat()
        service = self._settings.residents_service if foreign else self._settings.service
        return self._ask(service, body, _COMPARED_OF_RESIDENTS if foreign else _COMPARED)

    def relation(self, query: RelationQuery) -> RegistryAnswer:
        """Ask once (see `ekyc.ports.RelationRegistry`). Raises RegistryUnavailable."""
        parties = {
            name: {**vars(party), "date_of_birth": party.date_of_birth.isoformat()}
            for name, party in (("child", query.child), ("guardian", query.guardian))
        }
        asked = {**parties, "relation": query.relation}
        return self._ask(self._settings.relations_service, asked, _COMPARED_OF_FAMILIES)

    def _ask(self, service: str, body: Mapping[str, Any], compared: frozenset[str]) -> RegistryAnswer:
        message_id = str(uuid.UUID(bytes=self._randomness.bytes(16), version=4))
        headers = {"X-Road-Client": self._settings.client, "X-Road-Id": message_id, "Accept": "application/json"}
        url = f"{self._settings.url.rstrip('/')}/r1/{service}"
        try:
            with self._client.stream("POST", url, json=body, headers=headers) as response:
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _LARGEST:
                        raise RegistryUnavailable(rule="XR-SIZE")
        except httpx2.HTTPError as error:
            raise RegistryUnavailable(rule="XR-TRANSPORT") from error
        if response.status_code != 200 or "X-Road-Error" in response.headers:
            raise RegistryUnavailable(rule="XR-STATUS")
        if response.headers.get("X-Road-Id") != message_id:
            raise RegistryUnavailable(rule="XR-ID")
        reference = response.headers.get("X-Road-Request-Id", message_id)[:100]
        return _parsed(content, reference, compared)

    def close(self) -> None:
        self._client.close()


def _parsed(content: bytes, reference: str, compared: frozenset[str]) -> RegistryAnswer:
    try:
        answer = _Answer.model_validate_json(content)
    except ValidationError:
        raise RegistryUnavailable(rule="XR-FORM") from None  # its text could quote personal data
    fields = {name: FieldOutcome(value) for name, value in answer.fields.items()}
    outcome = RegistryOutcome(answer.outcome)
    complete = all(fields.get(name) is FieldOutcome.MATCH for name in compared)
    if outcome is RegistryOutcome.MATCH and not (complete and FieldOutcome.MISMATCH not in fields.values()):
        raise RegistryUnavailable(rule="XR-CONTRADICTION")
    return RegistryAnswer(outcome, fields, reference)
