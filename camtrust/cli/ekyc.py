"""``camtrust ekyc``: enrolments, as an operator of the machine sees them. No personal data but where it says so."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import services_of
from foundation.clock import rfc3339
from foundation.errors import NotImplementedYet


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    app = typer.Typer(help="Enrolments.", no_args_is_help=True, add_completion=False)

    @app.command("list")
    def list_enrolments(
        state: Annotated[str | None, typer.Option(help="only this state, as REGISTRY_MATCHED")] = None,
        after: Annotated[str | None, typer.Option(help="go on behind this id")] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    ) -> None:
        """List enrolments by id, with state and signing credential; no names."""
        from ekyc import store
        from ekyc.model import State

        if state is not None and state not in State.__members__:
            raise typer.BadParameter(f"one of {', '.join(State.__members__)}", param_hint="--state")
        wanted = [State[state]] if state else list(State)
        with services_of(context) as services, services.database.read() as connection:
            found = store.in_states(connection, wanted, after, limit)
        values = [_value(one) for one in found]
        lines = [
            f"{one['id']}  {one['state']:<20} {one['level']:<6} {one['created_at']}  {one['credential_id'] or '-'}"
            for one in values
        ]
        context.terminal.result({"enrolments": values}, lines or ["No enrolments."])

    @app.command()
    def show(
        enrolment_id: Annotated[str, typer.Argument(help="ENR-…")],
        replay: Annotated[
            bool, typer.Option("--replay", help="judge the stored evidence again by each decision's frozen policy")
        ] = False,
    ) -> None:
        """Show one enrolment and its evidence ledger: kinds, controls, outcomes, digests; no personal data."""
        from ekyc import store
        from ekyc.evidence import verify_chain

        with services_of(context) as services:
            with services.database.read() as connection:
                enrolment = store.load(connection, enrolment_id)
                ledger = store.ledger(connection, enrolment_id)
            again = services.ekyc.decider.replay(enrolment_id) if replay else ()
        head = verify_chain(ledger).hex()
        evidence = [
            {"kind": one.kind.value, "outcome": one.outcome, "control": one.control, "at": rfc3339(one.at)}
            for one in ledger
        ]
        lines = [f"{enrolment.id}  {enrolment.state.value}  {enrolment.level}"]
        lines += [f"  {one['at']}  {one['kind']:<12} {one['outcome']:<12} {one['control']}" for one in evidence]
        lines.append(f"  chain unbroken, head {head}")
        value = _value(enrolment) | {"evidence": evidence, "evidence_head": head}
        if replay:
            value["decisions"] = [json.loads(one.document) for one in again]
            for one in value["decisions"]:
                risk = f", risk {one['risk']['score']}" if "risk" in one else ""
                lines.append(
                    f"  decision over {one['evidence_count']} records by policy {one['policy_version']}: "
                    f"{one['outcome']} at {one['level']}{risk}; judged again, byte for byte the same"
                )
                lines += [f"    {'met    ' if part['met'] else 'NOT MET'} {part['rule']}" for part in one["reasons"]]
            lines += [] if again else ["  no decision yet"]
        context.terminal.result(value, lines)

    @app.command()
    def decide() -> None:
        """Decide a case. Officers decide through the API with their own signed assertion, not from this machine."""
        context.terminal.note(
            "A decision is the officer's own: POST /ekyc/v1/reviews/{id} with an assertion by the officer's key "
            "(docs/ekyc.md). This machine's operator cannot stand in for an officer."
        )
        raise NotImplementedYet

    @app.command("import-csca")
    def import_csca() -> None:
        """Import document issuers under dual control (not built yet)."""
        raise NotImplementedYet

    @app.command()
    def retention() -> None:
        """Apply the retention rules (not built yet)."""
        raise NotImplementedYet

    return app


def _value(enrolment: Any) -> dict[str, Any]:
    return {
        "id": enrolment.id,
        "person_id": enrolment.person_id,
        "level": enrolment.level,
        "state": enrolment.state.value,
        "version": enrolment.version,
        "created_at": rfc3339(enrolment.created_at),
        "credential_id": enrolment.credential_id,
    }
