"""How a network is planned and trained."""
