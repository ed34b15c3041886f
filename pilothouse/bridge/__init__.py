"""From a forge's webhook to a signal: verify, journal, acknowledge, and only then tell Temporal."""
