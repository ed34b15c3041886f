"""What holds for every test."""

from hypothesis import settings

# How long one example takes says nothing on a machine that does other things too.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
