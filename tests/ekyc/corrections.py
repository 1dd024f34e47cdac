"""People whose name or birth the registry corrected, in tests: what they ask, and the officers who decide."""

from __future__ import annotations

from dataclasses import replace

from ekyc.corrections.checks import Standing
from ekyc.corrections.desk import Asked
from ekyc.corrections.review import ROLE, Word
from ekyc.model import State
from ekyc.ports import FieldOutcome, RegistryAnswer, RegistryOutcome, RegistryQuery
from ekyc.registry_simulation.matching import compare
from ekyc.registry_simulation.persons import Specimen, series
from ekyc.review import statement as review_statement
from ekyc.review.desk import Method
from ekyc.service import EkycService
from foundation.http.actor import Actor, ActorKind
from tests.ekyc.families import CODE, Factors
from tests.ekyc.story import PIN, World

FIRST, OTHER = (Actor(ActorKind.OFFICER, f"OFF-CORRECT-{n}", frozenset({ROLE})) for n in (1, 2))


class RegistryOf:
    """A registry that knows these people as they are now, compared as the simulated one does."""

    def __init__(self, *people: Specimen) -> None:
        self.people = {one.document_number: one for one in people}
        self.asked = 0

    def match(self, query: RegistryQuery) -> RegistryAnswer:
        self.asked += 1
        said = {**vars(query), "date_of_birth": query.date_of_birth.isoformat()}
        outcome, fields = compare(self.people.get(query.document_number), said)
        compared = {name: FieldOutcome(value) for name, value in fields.items()}
        return RegistryAnswer(RegistryOutcome(outcome), compared, f"SPECIMEN-{self.asked}")


def known(world: World, *people: Specimen, service: EkycService | None = None) -> RegistryOf:
    """From now on the registry knows these people for corrections; and codes can be shown at any time."""
    for officer in (FIRST, OTHER):
        world.staff.add(officer)
    world.staff.reviewers = lambda: ["OFF-SPECIMEN"]  # type: ignore[method-assign]
    registry, on = RegistryOf(*people), service or world.service
    on.corrections._registry = on.correction_reviews._registry = registry
    on.corrections._factors = Factors()
    return registry


def enrolled(world: World, number: int) -> tuple[Actor, str, Specimen, Specimen]:
    """Somebody with a certificate, as they were; and as the registry has them now, with another name."""
    was = series(number)
    now = replace(was, surname="SOK", surname_km="សុខ")
    actor, name = world.until(State.ACTIVATED, was, phone=f"012 7{number:05}")
    known(world, now)
    return actor, name, was, now


def ask(world: World, actor: Actor, name: str, person: Specimen, code: str = CODE) -> Standing:
    """The person asks, with the card as it is now."""
    asked = Asked(person.card(), person.surname_km, person.given_names_km)
    return world.service.corrections.request(actor, name, asked, world.accept(), PIN, code)


def speak(
    world: World,
    name: str,
    officer: Actor = FIRST,
    word: Word = Word.CORRECT,
    reason: str = "card-and-registry-agree",
    method: Method = Method.REMOTE_VIDEO,
    seen: str | None = None,
) -> Standing:
    """An officer's signed word on the evidence as it stands."""
    desk = world.service.correction_reviews
    digest = seen or desk.show(officer, name).evidence_digest
    said = review_statement.statement(name, digest, word.value, method.value, reason)
    signature = review_statement.sign(world.staff.keys[officer.id], said)
    return desk.decide(officer, name, word, reason, method, digest, signature)
