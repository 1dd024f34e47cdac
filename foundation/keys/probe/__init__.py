"""Examining a key store, whatever is behind it: what it withstands, what it can do, how fast, and for how many keys.

report.py       findings and what they amount to
concurrency.py  threads, forks, one cold start
mechanisms.py   every algorithm and mechanism tried, and rates
capacity.py     whether 17 million keys will work, from a bounded sample

Each check is meant to run in a process of its own, since a module that is used in a way it cannot bear takes its
process down. Whatever a check makes is labelled with the run's prefix and destroyed again.
"""
