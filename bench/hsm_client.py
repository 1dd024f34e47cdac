"""One client process of the key daemon's benchmark: signs as it is told until the time is over.

python -m bench.hsm_client SOCKET KEY MODE SECONDS        (started by bench.hsm, which sends the session)
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable

from foundation.keys.activation import Method, PasskeyAssertion
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.client import HsmClient
from tests.hsm.authenticator import Authenticator

BATCH = 50
ACTIVATED = f"wrapped key, a passkey's approval for {BATCH}"
MODES = {"one in flight": (1, 1), "four in flight": (4, 1), f"{BATCH} a request": (1, BATCH), ACTIVATED: (1, BATCH)}


def main(path: str, key_id: str, mode: str, seconds: float) -> None:
    threads, batch = MODES[mode]
    client = HsmClient(path)
    client._session = bytes.fromhex(sys.stdin.readline())
    once = _citizen(client) if mode == ACTIVATED else _service(client, key_id, batch)
    once()
    print("ready", flush=True)
    sys.stdin.readline()
    counts = [0] * threads
    begin, cpu = time.monotonic(), time.process_time()
    end = begin + seconds

    def work(number: int) -> None:
        while time.monotonic() < end:
            once()
            counts[number] += batch

    if threads == 1:
        work(0)
    else:
        running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    wall, cpu = time.monotonic() - begin, time.process_time() - cpu
    print(json.dumps({"count": sum(counts), "wall": wall, "cpu": cpu}))


def _service(client: HsmClient, key_id: str, batch: int) -> Callable[[], object]:
    inputs = [bytes([number]) * 32 for number in range(batch)]
    return lambda: client.sign_many(key_id, Mechanism.ECDSA, inputs)


def _citizen(client: HsmClient) -> Callable[[], object]:
    """A person with a passkey and a wrapped key. Once: fifty fresh digests are prepared, approved by the passkey,
    verified in the token, used up and signed.
    """
    owner, device = f"specimen-{os.getpid()}", Authenticator()
    client.finish_passkey(owner, device.register(client.begin_passkey(owner)))
    made = client.generate_wrapped(owner, KeyAlgorithm.EC_P256, KeyUse.CITIZEN_SIGN)

    def once() -> None:
        digests = [os.urandom(32) for _ in range(BATCH)]
        asked = client.prepare_activation(made.info.key_id, digests, "bench", Method.PASSKEY)
        answer = device.answer(asked.options or "")
        activation = client.approve(asked.nonce, PasskeyAssertion(answer)).token
        client.sign_wrapped(made.wrapped, Mechanism.ECDSA, digests, activation=activation)

    return once


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
