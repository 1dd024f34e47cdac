"""Webhooks: agencies' systems are told what happened, in signed messages that are sent again until they arrive."""
