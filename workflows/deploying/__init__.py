"""The steps of a deployment: prepare, ask, lock in order, roll out, recover."""
