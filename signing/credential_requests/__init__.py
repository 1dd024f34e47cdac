"""Seal credentials that officers approve before they are made, and those that follow one which ends."""
