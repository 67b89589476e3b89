"""Every error that framestep raises on purpose.

Each says in one sentence what is wrong, with both values, and in one what to do. The command line prints it as one
line and exits with `exit_code`.
"""

from __future__ import annotations


class FramestepError(Exception):
    """The root of the tree.

    Attributes:
        exit_code: the exit status of the command that it ends.
    """

    exit_code = 1


class SpecError(FramestepError, ValueError):
    """A spec lacks something, or holds what it must not."""


class ArtifactError(FramestepError, ValueError):
    """A file is not an artifact that can be run."""


class FrameError(FramestepError, ValueError):
    """A frame, or a snapshot of states, does not fit the model."""


class MissingDependencyError(FramestepError, ImportError):
    """An optional library is not installed.

    Args:
        library: what could not be imported.
        extra: framestep's extra that brings it.
        purpose: what it is needed for.
    """

    def __init__(self, library: str, *, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}, which is not installed. Run: pip install 'framestep[{extra}]'")
        self.library = library
        self.extra = extra


class InterpreterNotFoundError(FramestepError, ImportError):
    """No TensorFlow Lite interpreter could be loaded; the message lists every reason."""


class SourceError(FramestepError, OSError):
    """Frames cannot be had from a source."""


class SinkError(FramestepError, OSError):
    """Predictions cannot be written to a sink."""


class ConversionError(FramestepError):
    """A model cannot be made into an artifact."""


class UnsupportedLayerError(ConversionError, ValueError):
    """A layer has no step form.

    Args:
        layer: the layer's name and class.
        reason: why one frame at a time cannot give what it computes.
        instead: what to use instead.
    """

    def __init__(self, layer: str, *, reason: str, instead: str) -> None:
        super().__init__(f"Layer {layer} cannot run one frame at a time: {reason}. {instead}")
        self.layer = layer
        self.reason = reason
        self.instead = instead


class CalibrationError(ConversionError, ValueError):
    """The data cannot give the ranges of an integer model."""


class FidelityError(FramestepError):
    """A gate was measured and does not hold.

    Args:
        message: which gate, and both values.
        report: the measured figures, as JSON types.
    """

    exit_code = 3

    def __init__(self, message: str, *, report: dict[str, object]) -> None:
        super().__init__(message)
        self.report = report


class DatasetError(FramestepError, ValueError):
    """A dataset cannot be used as it is."""


class ConfigError(FramestepError, ValueError):
    """A configuration is wrong; the message lists every problem at once."""
