"""Weights taken out of a run: made zero one by one, or removed with their channels."""
