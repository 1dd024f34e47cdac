"""What only a PKCS#11 module can be asked, past the key store: how it is by itself, and what it lets out.

module.py      what it says of itself
alone.py       threads, fork and cold start without the care that the adapter takes
protection.py  reading, changing, copying and unwrapping what should stay inside
lockout.py     wrong PINs, on a token that may be spoilt
leftovers.py   nothing of a run stays behind
"""
