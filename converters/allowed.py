"""What a model's configuration may name without being trusted."""

from __future__ import annotations

from typing import Any

from converters.step_rules import known_kinds
from converters.step_rules.cells import CELL_RULES

_CONTAINERS = ("Functional", "InputLayer", "Model", "Sequential", "TimeDistributed")

_OWN = (
    "AxisMean",
    "BoundedActivation",
    "BoundedConvLSTM2D",
    "BoundedGRUCell",
    "BoundedLSTMCell",
    "BoundedRNNCell",
    "FrameDifference",
    "PeepholeLSTMCell",
)

_OTHERS = {
    "initializers": (
        "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform "
        "Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros"
    ),
    "regularizers": "L1 L1L2 L2 OrthogonalRegularizer",
    "constraints": "MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm",
    "optimizers": "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lion LossScaleOptimizer Nadam RMSprop SGD",
    "losses": "BinaryCrossentropy CategoricalCrossentropy Huber KLDivergence MeanAbsoluteError MeanSquaredError "
    "SparseCategoricalCrossentropy",
    "metrics": "Accuracy AUC BinaryAccuracy CategoricalAccuracy Precision Recall SparseCategoricalAccuracy "
    "SparseTopKCategoricalAccuracy TopKCategoricalAccuracy",
    "dtype policies": "DTypePolicy Policy FloatDTypePolicy",
    "plain values": "__keras_tensor__ __numpy__ __tensor__ __tuple__ TensorShape",
}

_KERAS_MODULES = frozenset(
    [
        "keras",
        "keras.layers",
        "keras.models",
        "keras.initializers",
        "keras.regularizers",
        "keras.constraints",
        "keras.optimizers",
        "keras.losses",
        "keras.metrics",
        "keras.dtype_policies",
        "keras.mixed_precision",
        "keras.src.models.functional",
        "keras.src.models.sequential",
        "keras.src.engine.functional",
        "keras.src.engine.sequential",
        "tf_keras.src.engine.functional",
        "tf_keras.src.engine.sequential",
    ]
)

_OWN_MODULES = frozenset(
    {
        "converters.layers.axis_mean",
        "converters.layers.bounded",
        "converters.layers.bounded_activation",
        "converters.layers.bounded_conv",
        "converters.layers.tf_keras_family",
        "converters.layers.keras3",
    }
)


def _allowed_names() -> frozenset[str]:
    others = {name for names in _OTHERS.values() for name in names.split()}
    # Rules know Lambda in order to refuse it; Embedding and others that read no files are harmless.
    return (known_kinds() | set(CELL_RULES) | set(_CONTAINERS) | others) - {"Lambda", *_OWN}


def unknown_parts(config: Any) -> list[str]:
    """Name everything in a configuration that framestep does not know, each once and in order.

    Args:
        config: JSON, as Keras writes it: objects are mappings with `class_name`.
    """
    allowed = _allowed_names()
    found: dict[str, None] = {}
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            if "class_name" in item:
                problem = _problem(item, allowed)
                if problem is not None:
                    found[problem] = None
                    continue  # one line for each; nothing inside it runs either
            waiting.extend(reversed(list(item.values())))
    return list(found)


def _problem(item: dict[str, Any], allowed: frozenset[str]) -> str | None:
    """Say what is wrong with one object; None where nothing is."""
    kind, module, registered = item["class_name"], item.get("module"), item.get("registered_name")
    config = item.get("config")
    name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
    title = f"layer {name!r} ({kind})" if isinstance(name, str) else f"{kind}"
    if kind == "function":
        return f"function {config!r}" if isinstance(config, str) else "a function"
    if kind in ("Lambda", "__lambda__"):
        return f"{title}, which is code"
    if not isinstance(kind, str):
        return "an object without a name"
    own = kind.removeprefix("framestep>")
    if own in _OWN and registered in (None, f"framestep>{own}") and module in (None, *_OWN_MODULES):
        return None
    if kind not in allowed:
        return title
    if module is not None and module not in _KERAS_MODULES:
        return f"{title} of module {module!r}"
    if registered not in (None, "", kind) and registered != f"Keras>{kind}":
        return f"{title} registered as {registered!r}"
    return None
