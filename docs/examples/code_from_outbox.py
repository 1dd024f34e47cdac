"""The last contact code that was "sent" to a person, read on the machine that the services run on (docs/api.md).

python docs/examples/code_from_outbox.py HOME PERSON-ID
"""

import sys
from pathlib import Path

from camtrust.cli.context import Context
from camtrust.cli.services import services_of
from ekyc.contacts.outbox import ROLE
from foundation.catalogue import Language
from foundation.http.actor import Actor, ActorKind
from foundation.terminal import Terminal

home, person = sys.argv[1:]
with services_of(Context(Terminal(language=Language.EN, json=False), Path(home))) as services:
    reader = Actor(ActorKind.OPERATOR, "console", frozenset({ROLE}))
    print(services.outbox.read(reader, person, 1)[0].params["code"])
