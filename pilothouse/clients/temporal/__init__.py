"""The connection to Temporal, and the few things that outsiders may say to our workflows.

Nothing is imported here: workflow code reads `search` in its sandbox, and must not pull in the
client with it.
"""
