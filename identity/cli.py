"""Commands of the room, for the machine that the service runs on: the first operator has nobody to register them.

The roof binds them to the global options: ``create(open_service, terminal)`` gives the group.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from foundation.clock import rfc3339
from foundation.http.actor import ActorKind
from foundation.terminal import Terminal
from identity.errors import ActorInvalid
from identity.model import RegisteredActor
from identity.service import IdentityService

_PAGE = 200


def create(open_service: Callable[[], IdentityService], terminal: Terminal) -> typer.Typer:
    """The group; ``open_service`` is called when a command runs."""
    app = typer.Typer(help="Officers, API clients and operators.", no_args_is_help=True, add_completion=False)

    @app.command()
    def register(
        public_key: Annotated[Path, typer.Argument(help="PEM or DER file with a P-256 public key", exists=True)],
        kind: Annotated[str, typer.Option(help="officer, client or operator")],
        label: Annotated[str, typer.Option(help="the post or the system, not a person's name")],
        role: Annotated[list[str] | None, typer.Option(help="a role; may be given several times")] = None,
        person: Annotated[str | None, typer.Option(help="the officer's own person id, if they are enrolled")] = None,
    ) -> None:
        """Register an actor by its public key."""
        actor = open_service().register_actor(None, _kind(kind), label, role or [], public_key.read_bytes(), person)
        terminal.result(_value(actor), [f"Registered {actor.kind} {actor.id} ({actor.label})."])

    @app.command("list")
    def list_actors() -> None:
        """List the registered actors, disabled ones too."""
        service, actors, cursor = open_service(), list[RegisteredActor](), None
        while True:
            page = service.list_actors(cursor, _PAGE)
            actors += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        lines = [
            f"{actor.id}  {actor.kind:<8}  {actor.status:<8}  {actor.label}  [{' '.join(sorted(actor.roles))}]"
            for actor in actors
        ]
        terminal.result([_value(actor) for actor in actors], lines)

    @app.command()
    def disable(actor_id: Annotated[str, typer.Argument(help="the actor's id")]) -> None:
        """Disable an actor, at once and for good."""
        open_service().disable_actor(None, actor_id)
        terminal.result({"disabled": actor_id}, [f"Disabled {actor_id}."])

    @app.command()
    def oauth(
        actor_id: Annotated[str, typer.Argument(help="the client's id")],
        grant: Annotated[list[str], typer.Option(help="client_credentials, authorization_code")],
        redirect_uri: Annotated[list[str] | None, typer.Option(help="where codes may be sent, exactly")] = None,
        scope: Annotated[
            list[str] | None, typer.Option(help="for persons: openid, profile, service, credential")
        ] = None,
        certificate_bound: Annotated[bool, typer.Option(help="tokens are always bound to a certificate")] = False,
    ) -> None:
        """Let a client use the authorisation server (OAuth 2.0, OpenID Connect)."""
        clients = open_service().clients
        made = clients.register(None, actor_id, grant, redirect_uri or [], scope or [], certificate_bound)
        value = {"client_id": made.client_id, "grants": sorted(made.grants), "redirect_uris": list(made.redirect_uris)}
        value["scopes"] = sorted(made.scopes)
        lines = [f"Registered {made.client_id} for {', '.join(sorted(made.grants))}."]
        terminal.result({**value, "certificate_bound": made.certificate_bound}, lines)

    return app


def _kind(value: str) -> ActorKind:
    try:
        return ActorKind(value)
    except ValueError:
        raise ActorInvalid(field="kind") from None


def _value(actor: RegisteredActor) -> dict[str, object]:
    return {
        "id": actor.id,
        "kind": actor.kind.value,
        "label": actor.label,
        "roles": sorted(actor.roles),
        "status": actor.status.value,
        "registered_by": actor.registered_by,
        "registered_at": rfc3339(actor.registered_at),
    }
