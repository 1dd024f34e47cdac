"""``camtrust hsm probe``: what a PKCS#11 module, or the emulated HSM, withstands and can do.

targets.py   what can be probed, and how a process opens it
worker.py    one check in a process of its own
emulated.py  what only the emulated HSM is asked
run.py       all checks in turn, and the report
"""
