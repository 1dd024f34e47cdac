"""Requests made up from the API's description: whatever comes, every answer is one the API knows how to give."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from ekyc.review.desk import ROLE as REVIEW_ROLE
from foundation.http.actor import ActorKind
from tests.story.installation import Installation
from tests.web.endpoint_walk import endpoints

_EXAMPLES = 5  # of each kind, for each operation
_NOT_BUILT = 501
_LATER = 503  # a registry or token that is busy says when to come again


for _octets in ("application/pdf", "application/zip"):  # bodies that are sent as they are
    schemathesis.serializer.alias(_octets, "application/octet-stream")


class _Caller:
    """Sends generated requests as somebody whom the endpoint lets in."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._allowed = {f"{one.method} {one.path}": one.allowed for one in endpoints(installation.app)}
        # one reviewer more would be drawn for the cases of other tests
        self._staff: dict[tuple[str, str | None], Any] = {(ActorKind.OFFICER, REVIEW_ROLE): installation.officer}
        self._person = installation.applicant().until("certificate")

    def send(self, case: schemathesis.Case, label: str) -> Any:
        """The answer to one generated request, its credential right."""
        at = self._installation.url
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared = requests.Request(**_for_requests(case.as_transport_kwargs(base_url=at))).prepare()
        body = prepared.body.encode() if isinstance(prepared.body, str) else bytes(prepared.body or b"")
        method, url = str(prepared.method), str(prepared.url)
        headers = {name: value for name, value in prepared.headers.items() if name.lower() != "authorization"}
        allowed = self._allowed.get(label)
        if allowed:
            headers["Authorization"] = self._credential(allowed, method, url.removeprefix(at), body)
        return self._installation.http.request(method, url, content=body, headers=headers)

    def _credential(self, allowed: dict[str, str | None], method: str, path: str, body: bytes) -> str:
        kind, role = next(iter(sorted(allowed.items())))
        if kind == ActorKind.PERSON:
            return f"Bearer {self._installation.services.identity.open(self._person.enrolment['person_id'])}"
        if (kind, role) not in self._staff:
            roles = [role] if role else []
            self._staff[kind, role] = self._installation.staff(ActorKind(kind), *roles)
        return str(self._staff[kind, role].authorization(method, path.partition("?")[0], body))


def _for_requests(given: dict[str, Any]) -> dict[str, Any]:
    known = ("method", "url", "headers", "files", "data", "json", "params", "cookies")
    return {name: value for name, value in given.items() if name in known}


def _operations(installation: Installation) -> Iterator[tuple[str, Any]]:
    schema = schemathesis.openapi.from_dict(installation.http.get("/openapi.json").json())
    for result in schema.get_all_operations():
        operation = result.ok()
        yield f"{operation.method.upper()} {operation.path}", operation


@pytest.mark.timeout(600)
def test_no_request_is_answered_by_a_failure(assembled: Installation) -> None:
    """Valid and invalid requests for every operation: never a 500; what is refused is a problem document with a code;
    and the service answers as before afterwards."""
    caller, met = _Caller(assembled), 0
    for label, operation in _operations(assembled):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _try(caller, label, operation, mode)
        met += 1
    assert met >= 40
    assert assembled.http.get("/readyz").status_code == 200
    assert assembled.services.trail.verify(assembled.services.database) > met


def _try(caller: _Caller, label: str, operation: Any, mode: GenerationMode) -> None:
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        answer = caller.send(case, label)
        about = f"{label} answered {answer.status_code}: {answer.text[:300]}"
        assert answer.status_code < 500 or answer.status_code in (_NOT_BUILT, _LATER), about
        own_form = case.operation.path.startswith(("/csc/", "/oauth2/"))  # that of the CSC API and of OAuth
        if answer.status_code >= 400 and own_form and "error" in answer.json():
            assert set(answer.json()) == {"error", "error_description"}, about
        elif answer.status_code >= 400:
            assert answer.headers["content-type"].startswith("application/problem+json"), about
            assert json.loads(answer.text)["code"], about

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, f"no valid request could be made up for {label}"  # nothing to spoil
