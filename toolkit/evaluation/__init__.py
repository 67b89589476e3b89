"""Measuring: accuracy on clips, what happens on streams, time and memory."""
