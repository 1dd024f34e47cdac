"""``camtrust ekyc``: enrolments, as an operator of the machine sees them. No personal data but where it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from camtrust.cli.context import Context
from camtrust.cli.ekyc_packet import add_packet
from camtrust.cli.ekyc_trust import add_import_csca
from camtrust.cli.services import ACTOR, services_of
from foundation.clock import rfc3339


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
        from ekyc.evidence.record import verify_chain

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
    def decide(
        enrolment_id: Annotated[str, typer.Argument(help="ENR-…")],
        officer: Annotated[str, typer.Option(help="your actor id, act_…")],
        key: Annotated[Path, typer.Option(help="your private key, PEM", exists=True, dir_okay=False)],
        url: Annotated[str | None, typer.Option(help="where the services are; default: the home's public URL")] = None,
        origin: Annotated[str | None, typer.Option(help="their public URL, where --url is another address")] = None,
        decision: Annotated[str | None, typer.Option(help="bind, reject, refer; without it the case is shown")] = None,
        method: Annotated[str, typer.Option(help="in-person, remote-video or record")] = "in-person",
        reason: Annotated[str | None, typer.Option(help="a reason code of the policy")] = None,
        evidence: Annotated[str | None, typer.Option(help="the digest that the case was shown with")] = None,
    ) -> None:
        """As an officer: look at a case that is yours, and decide on exactly what you saw, signed with your own key.

        First without --decision, which shows the case and its digest; then with --decision, --reason and --evidence.
        """
        from camtrust.cli.review import officer_at

        with officer_at(context, url, origin, officer, key) as colleague:
            if decision is None:
                case = colleague.get(f"/ekyc/v1/reviews/{enrolment_id}")
                context.terminal.result(case, _case_lines(case))
                return
            if reason is None or evidence is None:
                raise typer.BadParameter("--decision needs --reason and --evidence")
            case = {"enrolment": {"id": enrolment_id}, "evidence_digest": evidence}
            moved = colleague.decide(case, decision, method, reason)
        lines = [f"{moved['id']}  {moved['state']}  {moved['status']['en']}"]
        context.terminal.result(moved, lines + [f"  because: {one['en']}" for one in moved["reasons"]])

    @app.command("review-test")
    def review_test(
        case: Annotated[
            Path | None, typer.Option(help="JSON: document, fields, registry (match or review)", exists=True)
        ] = None,
        right: Annotated[list[str] | None, typer.Option(help="a verdict that is right: bind, reject, refer")] = None,
    ) -> None:
        """Put a sealed test case among the officers' cases; without --case, say how the officers did."""
        from ekyc.ports import RegistryOutcome

        with services_of(context) as services:
            tests = services.ekyc.review.tests
            if case is not None:
                given = json.loads(case.read_text(encoding="utf-8"))
                outcome = RegistryOutcome(given["registry"])
                seeded = tests.seed(ACTOR, given["document"], given["fields"], outcome, right or [])
                context.terminal.result(_value(seeded), [f"{seeded.id} waits for an officer."])
                return
            results = [{"officer": one, "answered": total, "right": good} for one, total, good in tests.results()]
        lines = [f"{one['officer']}  {one['right']} of {one['answered']} right" for one in results]
        context.terminal.result({"officers": results}, lines or ["No sealed test was answered."])

    @app.command()
    def recall(
        control: Annotated[str | None, typer.Option(help="a control, as EKYC-REGISTRY")] = None,
        version: Annotated[int | None, typer.Option(help="only this version of the control")] = None,
        by_officer: Annotated[str | None, typer.Option(help="whatever this officer recorded, act_…")] = None,
        issuer: Annotated[str | None, typer.Option(help="SHA-256 of a document signer or its CSCA")] = None,
        exchange: Annotated[str | None, typer.Option(help="the registry's reference of one answer")] = None,
        document: Annotated[str | None, typer.Option(help="the keyed index of a document, from its record")] = None,
        voucher: Annotated[str | None, typer.Option(help="whoever this certificate holder vouched for, KH-…")] = None,
        officer: Annotated[str | None, typer.Option(help="as this officer, act_…; without it a dry run")] = None,
        key: Annotated[Path | None, typer.Option(help="that officer's private key, PEM", exists=True)] = None,
        url: Annotated[str | None, typer.Option(help="where the services are; default: the home's public URL")] = None,
        origin: Annotated[str | None, typer.Option(help="their public URL, where --url is another address")] = None,
        digest: Annotated[str | None, typer.Option(help="from the dry run: propose exactly what it found")] = None,
        confirm: Annotated[str | None, typer.Option(help="RCL-…: as the second officer, do it")] = None,
    ) -> None:
        """Call evidence back: who does not stand without it. Two officers then suspend exactly those.

        Without --officer a dry run on this machine. --digest proposes, --confirm by another officer performs.
        """
        from dataclasses import asdict

        from camtrust.cli.review import officer_at
        from ekyc.recall.desk import Origin

        source = Origin(control, version, by_officer, issuer, exchange, document, voucher)
        if officer is None:
            with services_of(context) as services:
                found = services.ekyc.recalls.look(source)
            lines = [f"{one.enrolment_id}  {one.state:<20} {one.certificate_serial or '-'}" for one in found.affected]
            lines.append(f"{len(found.affected)} affected; {len(found.standing)} stand without it.")
            lines.append(f"To propose it, as an officer: --digest {found.digest}")
            context.terminal.result(asdict(found), lines)
            return
        if key is None or (digest is None) == (confirm is None):
            raise typer.BadParameter("--officer needs --key, and either --digest or --confirm")
        with officer_at(context, url, origin, officer, key) as colleague:
            if confirm is not None:
                done = colleague.post(f"/ekyc/v1/recalls/{confirm}/confirmation", {})
            else:
                named = {name: value for name, value in asdict(source).items() if value is not None}
                done = colleague.post("/ekyc/v1/recalls", named | {"digest": digest})
        line = f"{done['recall_id']}  {done['state']}: {done['done']} of {done['affected']} suspended"
        context.terminal.result(done, [line])

    add_import_csca(app, context)
    add_packet(app, context)

    @app.command("import-devices")
    def import_devices(
        file: Annotated[Path, typer.Argument(help="the sealed file of seeds (JWE)", exists=True, dir_okay=False)],
        key_file: Annotated[
            Path, typer.Option(help="file with the transport key, 64 hexadecimal digits", exists=True, dir_okay=False)
        ],
    ) -> None:
        """Bring in devices with a button (HOTP). The key daemon seals their seeds; nothing else keeps them."""
        from ekyc.authenticators.device_file import read_devices
        from ekyc.authenticators.without_phone import DeviceFileInvalid

        try:
            key = bytes.fromhex(key_file.read_text(encoding="ascii").strip())
        except ValueError:
            raise DeviceFileInvalid(problem="the transport key is not hexadecimal") from None
        devices = read_devices(file.read_bytes(), key)
        with services_of(context) as services:
            new = services.ekyc.without_phone.import_devices(ACTOR, devices)
        context.terminal.result({"devices": len(devices), "new": new}, [f"{new} of {len(devices)} devices are new."])

    @app.command()
    def retention(
        apply: Annotated[bool, typer.Option("--apply", help="do it; without it a dry run")] = False,
    ) -> None:
        """What the retention rules end now, rule by rule. Services that run do it by themselves."""
        from dataclasses import asdict

        with services_of(context) as services:
            desk = services.ekyc.retention
            due = desk.apply() if apply else desk.look()
            version, grounds = desk.rules.version, {rule.id: rule for rule in desk.rules.rules}
        verb = "ended" if apply else "due"
        lines = [f"{one.rule:<26} {one.count:>6} {one.what} {verb}  ({grounds[one.rule].days} days)" for one in due]
        value = {"version": version, "applied": apply, "rules": [asdict(one) for one in due]}
        context.terminal.result(value, lines)

    return app


def _case_lines(case: dict[str, Any]) -> list[str]:
    """What an officer is to look at, for reading; the digest last, since the decision must name it."""
    one = case["enrolment"]
    lines = [f"{one['id']}  {one['level']}  {one['state']}  to be reviewed by {one['review_due_at']}"]
    for record in case["evidence"]:
        lines.append(f"  {record['kind']:<12} {record['outcome']:<12} {record['control']}")
        lines += [f"      {name}: {value}" for name, value in sorted((record["content"] or {}).items())]
    return [*lines, f"  --evidence {case['evidence_digest']}"]


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
