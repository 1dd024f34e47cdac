"""A second door of the emulated HSM: PKCS#11 programs reach it through p11-kit's ``p11-kit-client.so``.

    python -m hsm_emulation.pkcs11_door --token-socket PATH --socket PATH
    P11_KIT_SERVER_ADDRESS=unix:path=PATH pkcs11-tool --module .../p11-kit-client.so --list-slots

A process of its own that is a client of the key daemon like any other. It holds no key and decides nothing: who logs
in, and what a key may sign, the token says. Nothing but that there is a token is told before C_Login.
"""
