"""The device: artifact, interpreter, frames, decisions, sinks.

Importing this package costs nothing; each module imports what it needs.
"""

__version__ = "0.1.0"
