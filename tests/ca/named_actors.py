"""Actors by name, for tests about what actors may do rather than how they prove who they are."""

from __future__ import annotations

from foundation.http.actor import Actor, ActorKind, Credential, Unauthenticated


class NamedActors:
    """`Named KIND[/ID] ROLE…`: these tests are about what actors may do, not about how they prove who they are."""

    def authenticate(self, credential: Credential) -> Actor:
        scheme, _, rest = credential.authorization.partition(" ")
        kind, *roles = rest.split(" ")
        if scheme != "Named":
            raise Unauthenticated
        kind, _, name = kind.partition("/")
        return Actor(ActorKind(kind), name or "specimen", frozenset(roles))


def as_actor(*words: str) -> dict[str, str]:
    return {"Authorization": "Named " + " ".join(words)}
