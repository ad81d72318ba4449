"""A busy machine is no fault of the code: hypothesis measures no times."""
from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
