"""What runs on the GPU box before any environment is made: the standard library of Python 3.8, and no import from other rooms."""
