"""framestep's own layers, for tf_keras: what its networks are trained with.

The same layers for Keras 3 are in `converters.layers.keras3`.
"""

from __future__ import annotations

from converters.layers.axis_mean import AxisMean
from converters.layers.bounded import BoundedGRUCell, BoundedLSTMCell, BoundedRNNCell
from converters.layers.bounded_activation import BoundedActivation
from converters.layers.bounded_conv import BoundedConvLSTM2D, BoundedConvLSTMCell
from converters.layers.tf_keras_family import FrameDifference, PeepholeLSTMCell

__all__ = [
    "AxisMean",
    "BoundedActivation",
    "BoundedConvLSTM2D",
    "BoundedConvLSTMCell",
    "BoundedGRUCell",
    "BoundedLSTMCell",
    "BoundedRNNCell",
    "FrameDifference",
    "PeepholeLSTMCell",
]
