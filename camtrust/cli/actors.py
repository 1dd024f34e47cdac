"""``camtrust actors``: officers, API clients and operators; the first operator has nobody else to register them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from camtrust.cli.context import Context
from camtrust.cli.services import ACTOR, services_of
from identity.cli import create as create_group
from identity.service import IdentityService

_SEAL_ALGORITHMS = ("ec-p256", "ec-p384", "rsa-3072", "rsa-4096", "ml-dsa-65")


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    stack = ExitStack()

    def service() -> IdentityService:
        from camtrust.server import opened
        from camtrust.settings import load_settings

        home = context.home()
        return stack.enter_context(opened(home, load_settings(home.settings_file), context.clock)).identity

    app = create_group(service, context.terminal)

    @app.callback()
    def group(command: typer.Context) -> None:
        command.call_on_close(stack.close)

    @app.command("seal-credential")
    def seal_credential(
        client: Annotated[str, typer.Argument(metavar="CLIENT_ID", help="an API client with the role sign-seal")],
        organisation: Annotated[str, typer.Option(help="the organisation's verified name")],
        organisation_identifier: Annotated[str, typer.Option(help="EN 319 412-1 §5.1.4, as GO:KH-000041")],
        common_name: Annotated[str, typer.Option(help="the name by which the organisation is known")],
        algorithm: Annotated[
            str, typer.Option(help="ec-p256, ec-p384, rsa-3072, rsa-4096, or ml-dsa-65 for hybrid seals")
        ] = "ec-p256",
    ) -> None:
        """Let a client seal for its organisation: key in the token, certificate, signing credential.

        Asked again with the same names, it gives the same credential. After a revocation it makes a new one. With one
        by ml-dsa-65, `actors seal-policy --parallel` has every seal made a second time beside the first. A client that
        an organisation's representatives added gets one in the approved name and number alone, in production.
        """
        from camtrust.organisations import make_seal_credential
        from foundation.keys.port import KeyAlgorithm

        if algorithm not in _SEAL_ALGORITHMS:
            raise typer.BadParameter(f"one of {', '.join(_SEAL_ALGORITHMS)}", param_hint="--algorithm")

        with services_of(context) as services:
            services.agencies.require_seal(client, organisation, organisation_identifier, common_name)
            made = make_seal_credential(
                services,
                ACTOR,
                client,
                organisation,
                organisation_identifier,
                common_name,
                KeyAlgorithm(algorithm),
            )
        value = {
            "credential": made.credential_id,
            "client": made.client,
            "certificate": made.serial,
            "subject": dict(made.subject),
        }
        subject = ", ".join(f"{name}={text}" for name, text in made.subject)
        context.terminal.result(
            value, [f"{client} seals as {subject} (certificate {made.serial}).", f"Credential: {made.credential_id}"]
        )

    @app.command("seal-policy")
    def seal_policy(
        client: Annotated[str, typer.Argument(metavar="CLIENT_ID", help="an API client that seals")],
        level: Annotated[
            list[str] | None, typer.Option(help="a level it may seal at, B-B among them; repeatable")
        ] = None,
        format: Annotated[list[str] | None, typer.Option(help="a format it may seal in; repeatable")] = None,
        most_octets: Annotated[int | None, typer.Option(min=1, help="largest document")] = None,
        per_day: Annotated[int | None, typer.Option(min=1, help="seals a day")] = None,
        hours: Annotated[str | None, typer.Option(metavar="FROM-TO", help="hours of Cambodia's clock, as 8-17")] = None,
        releaser: Annotated[
            list[str] | None,
            typer.Option(
                metavar="ID",
                help="who may release each seal: another client, a person, or `representatives`; repeatable",
            ),
        ] = None,
        parallel: Annotated[
            str | None, typer.Option(metavar="CREDENTIAL", help="an ml-dsa-65 credential that signs beside each seal")
        ] = None,
        rsa_pss: Annotated[bool, typer.Option("--rsa-pss", help="RSA keys seal with PSS, not PKCS#1 v1.5")] = False,
        appearance: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME", help="a template that visible seals may have, or plain; repeatable"),
        ] = None,
    ) -> None:
        """Show what a client may seal, or set it: what is not named goes back to the default."""
        from signing.seal_policy import read_policy

        named = {"levels": level, "formats": format, "most_octets": most_octets, "per_day": per_day}
        named |= {"releasers": releaser, "appearances": appearance}
        value = {key: one for key, one in {**named, "parallel": parallel, "rsa_pss": rsa_pss}.items() if one}
        if hours is not None:
            first, _, last = hours.partition("-")
            if not (first.isdigit() and last.isdigit()):
                raise typer.BadParameter("--hours is FROM-TO, as 8-17")
            value |= {"first_hour": int(first), "last_hour": int(last)}
        with services_of(context) as services:
            policies = services.signing.seal_policies
            if value:
                registered = [one for one in releaser or () if one.startswith("act_")]
                for actor in (client, *registered):  # persons, and `representatives`, are known elsewhere
                    services.identity.actor(actor)
                policies.set(ACTOR, client, read_policy(value), services.clock.now())
            policy = policies.of(client)
        beside = f", a second time beside by {policy.parallel}" if policy.parallel else ""
        quota = "no limit" if policy.per_day is None else f"{policy.per_day} a day"
        context.terminal.result(
            policy.json(),
            [
                f"{client} may seal at {', '.join(policy.levels)} as {', '.join(policy.formats)}{beside}; {quota}; "
                f"from {policy.first_hour}:00 to {policy.last_hour}:00.",
                *([f"Visible seals look as: {', '.join(policy.appearances)}."] if policy.appearances else []),
                *([f"Each seal waits for one of: {', '.join(policy.releasers)}."] if policy.releasers else []),
            ],
        )

    return app
