"""The X-Road adapter: what it sends, and what it does not take for an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

import httpx2
import pytest

from ekyc.config import RegistryHttpSettings
from ekyc.errors import RegistryUnavailable
from ekyc.ports import RegistryOutcome, RegistryQuery
from ekyc.registry.http import HttpRegistry
from ekyc.registry_simulation.persons import SERIES, series, specimens
from ekyc.registry_simulation.process import RegistryProcess

QUERY = RegistryQuery("100000001", "SPECIMEN", "SOPHEA", date(1990, 4, 13), "F", "គំរូ", "សុភា")
FIELDS = dict.fromkeys((*vars(QUERY), "vital_status"), "match")


def adapter(handler: Callable[[httpx2.Request], httpx2.Response]) -> HttpRegistry:
    registry = HttpRegistry(RegistryHttpSettings(url="http://127.0.0.1:9"))
    registry.close()
    registry._client = httpx2.Client(transport=httpx2.MockTransport(handler))
    return registry


def echo(request: httpx2.Request, body: object, status: int = 200, **headers: str) -> httpx2.Response:
    headers = {"X-Road-Id": request.headers["X-Road-Id"], **{k.replace("_", "-"): v for k, v in headers.items()}}
    return httpx2.Response(status, json=body, headers=headers)


def test_personal_data_is_in_the_body_alone() -> None:
    """The address and the headers of a request hold identifiers of services, and nothing about the person."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return echo(request, {"outcome": "match", "fields": FIELDS}, X_Road_Request_Id="REQUEST-1")

    registry = adapter(answer)
    got = registry.match(QUERY)
    assert (got.outcome, got.reference) == (RegistryOutcome.MATCH, "REQUEST-1")
    [request] = seen
    assert request.url.path == "/r1/KH-SPECIMEN/GOV/REGISTRY/PERSONS/match"
    assert request.headers["X-Road-Client"] == "KH-SPECIMEN/GOV/CAMTRUST/EKYC"
    around = str(request.url) + str(request.headers)
    assert not any(value in around for value in ("100000001", "SOPHEA", "1990"))
    assert json.loads(request.content)["date_of_birth"] == "1990-04-13"
    registry.close()


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        ({"outcome": "match", "fields": FIELDS}, 200, {"X-Road-Id": "another-message"}),
        ({"outcome": "match", "fields": FIELDS}, 500, {}),
        ({"outcome": "match", "fields": FIELDS}, 302, {"Location": "http://127.0.0.1:1/"}),
        ({"outcome": "match", "fields": FIELDS}, 200, {"X-Road-Error": "Server.ServerProxy"}),
        ({"outcome": "match", "fields": {}}, 200, {}),
        ({"outcome": "match", "fields": FIELDS | {"sex": "mismatch"}}, 200, {}),
        ({"outcome": "match", "fields": FIELDS | {"vital_status": "mismatch"}}, 200, {}),
        ({"outcome": "yes", "fields": FIELDS}, 200, {}),
        ({"outcome": "match", "fields": FIELDS, "name": "SOPHEA"}, 200, {}),
        ({"outcome": "match", "fields": FIELDS, "filler": "x" * 20_000}, 200, {}),
        ([], 200, {}),
    ],
)
def test_what_is_not_a_clear_answer(body: object, status: int, headers: dict[str, str]) -> None:
    """Another message's id, errors, redirects, contradictions, unknown or oversize content."""
    registry = adapter(
        lambda request: httpx2.Response(
            status, json=body, headers={"X-Road-Id": request.headers["X-Road-Id"], **headers}
        )
    )
    with pytest.raises(RegistryUnavailable):
        registry.match(QUERY)
    registry.close()


def test_the_simulation_says_that_it_is_one(registry_process: RegistryProcess) -> None:
    """Its answers carry a mark, every specimen is called SPECIMEN, and it listens on the loopback interface alone."""
    body = {**vars(QUERY), "date_of_birth": "1990-04-13"}
    with httpx2.Client(trust_env=False) as client:
        answer = client.post(
            f"{registry_process.url}/r1/KH-SPECIMEN/GOV/REGISTRY/PERSONS/match",
            json=body,
            headers={"X-Road-Client": "KH-SPECIMEN/GOV/X/Y", "X-Road-Id": "1"},
        )
    assert answer.headers["X-CamTrust-Simulated"] == "true"
    assert all(person.surname == "SPECIMEN" for person in (*specimens().values(), series(0), series(SERIES - 1)))
    with open(f"/proc/{registry_process.pid}/net/tcp", encoding="ascii") as table:
        port = f"{int(registry_process.url.rsplit(':', 1)[1]):04X}"
        listening = {line.split()[1] for line in table if line.split()[3] == "0A" and line.split()[1].endswith(port)}
    assert listening == {f"0100007F:{port}"}
    with pytest.raises(ValueError, match="series"):
        series(SERIES)
