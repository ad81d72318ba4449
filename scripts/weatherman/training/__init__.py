"""Imported before torch by everything that trains: OpenMP reads its settings once, when torch loads it."""
import os

# By default libgomp's threads spin while they wait; any other work on the cores then slows training tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
