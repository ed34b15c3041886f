"""The domain as pure functions: load, order, diff, health, policy, diagnosis."""
