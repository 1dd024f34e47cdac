"""Contacts: proved by a code, written to, told what happens."""
