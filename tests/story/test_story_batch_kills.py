"""`camtrust serve` and its key daemon are killed while a batch is sealed: no document is lost, none is sealed twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import httpx2
import pytest

from camtrust.documents import make_specimen_documents
from camtrust.organisations import make_seal_credential
from camtrust.server import opened
from foundation.clock import SystemClock
from foundation.db.engine import open_database
from foundation.http.actor import ActorKind
from signing.seal_policy import ROLE, SealPolicy
from tests.story.installation import Staff, audit_rows, register, settings_for
from tests.story.served import Server, ended, wait_until
from tests.story.test_story_batches import zip_of

DOCUMENTS, KILLS = 160, 2


@pytest.mark.timeout(900)  # it starts the whole of `camtrust serve` three times
def test_a_batch_survives_kills(server: tuple[Server, Callable[[httpx2.Client], Staff]]) -> None:
    """Twice `camtrust serve` is killed while it works, and once its key daemon. At the end every document has one
    seal, which is the one that is given out, and one event in the trail; the quota counted each once."""
    running, _ = server
    folder = running.home.path / "letters"
    make_specimen_documents(folder, SystemClock().now().replace(microsecond=0))
    letter = min(folder.glob("*.pdf"), key=lambda file: file.stat().st_size).read_bytes()
    with opened(running.home, settings_for(None), SystemClock()) as services, httpx2.Client() as nobody:
        known = register(services.identity, nobody, running.url, ActorKind.CLIENT, ROLE)
        names = {"organisation": "SPECIMEN Agency", "identifier": "GO:KH-000041", "common_name": "SPECIMEN Agency seal"}
        credential = make_seal_credential(services, "operator:test", known.id, **names).credential_id
        policy = SealPolicy(per_day=DOCUMENTS)
        services.signing.seal_policies.set("test", known.id, policy, SystemClock().now())
    running.start()
    with httpx2.Client(base_url=running.url, timeout=60, trust_env=False) as http:
        client = known.on(http)
        batch = f"/sign/v1/batches/{_done(client.ask('POST', '/sign/v1/batches', {'credential': credential}))['id']}"
        archive = zip_of({f"letter-{number}": letter for number in range(DOCUMENTS)})
        headers = {"Authorization": client.authorization("POST", f"{batch}/archive", archive)}
        assert _done(http.post(f"{batch}/archive", content=archive, headers=headers)) == {"added": DOCUMENTS}
        _done(client.ask("POST", f"{batch}/start"))

        def sealed() -> int:
            return int(str(_done(client.ask("GET", batch))["sealed"]))

        seen = [0]
        for _ in range(KILLS):
            wait_until(lambda: sealed() > seen[-1], "it goes on")
            seen.append(sealed())
            running.kill()
            running.start()
            assert sealed() >= seen[-1]
        assert seen[-1] < DOCUMENTS, "it was over before the last kill"
        running.kill_daemon()
        wait_until(lambda: _done(client.ask("GET", batch))["state"] == "finished", "the batch is over")
        told = _done(client.ask("GET", batch))
        assert (told["documents"], told["sealed"], told["refused"]) == (DOCUMENTS, DOCUMENTS, 0)
        hashes = []
        for number in range(DOCUMENTS):
            place = f"{batch}/documents/letter-{number}"
            data = client.ask("GET", f"{place}/sealed").content
            assert data.startswith(letter)
            assert data.count(b"/ByteRange") == 1
            hashes.append(hashlib.sha256(data).hexdigest())
        assert len(set(hashes)) == DOCUMENTS
    assert running.stop() == 130
    assert all(map(ended, running.started))
    database = open_database(f"sqlite:///{running.home.path / 'camtrust.sqlite'}")
    try:
        trail = [row for row in audit_rows(database) if row["action"] in ("signing.sealed", "signing.batch_finished")]
    finally:
        database.close()
    assert [row["action"] for row in trail].count("signing.batch_finished") == 1
    assert len(trail) == DOCUMENTS + 1
    told_in_trail = {json.loads(row["details"])["sha256"] for row in trail if row["action"] == "signing.sealed"}
    assert told_in_trail == set(hashes)


def _done(answer: httpx2.Response) -> dict[str, object]:
    assert answer.is_success, answer.text
    found: dict[str, object] = answer.json()
    return found
