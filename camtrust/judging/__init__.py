"""Documents from strangers are judged outside of the service's process: each in one of its own, bounded.

judges.py    asks, waits so long, and ends what takes longer; in the service
forking.py   the process that is copied for each document, and the copy that judges it
messages.py  what goes between them
"""
