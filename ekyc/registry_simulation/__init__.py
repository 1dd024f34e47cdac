"""A simulated base registry: a process of its own, with specimen persons, outages and delays on demand.

It stands in for the interior ministry's service on CamDX in demonstrations and tests. It listens on the loopback
interface alone, says that it is simulated, and knows nobody who exists.
"""
