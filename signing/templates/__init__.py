"""How an organisation's seals look: proposed by it, approved by an officer by digest, withdrawn at once."""
