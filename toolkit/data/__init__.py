"""Clips and streams: found, decoded once, split by group, joined, changed for training, or made from digits."""
