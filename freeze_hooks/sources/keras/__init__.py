"""Freezes Keras models: finds their inputs, traces them, and compares their answers."""
