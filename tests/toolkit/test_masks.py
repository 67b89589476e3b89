from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.compression.masks import kept_zeros, kernel_sparsities, prunable_layers, sparsity
from toolkit.models.build import build_model
from toolkit.models.config import ModelConfig


def small(**settings: Any) -> Any:
    return build_model(
        ModelConfig(**{"preset": "tiny", "width": 16, "height": 16, "classes": 4, "units": 8, **settings})
    )


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "peephole", "convlstm", "none"])
def test_every_kernel_can_be_pruned_and_no_bias(cell: Any) -> None:
    model = small(cell=cell)
    found = {id(kernel) for _, kernels in prunable_layers(model) for kernel in kernels}
    assert found == {id(weight) for weight in model.trainable_weights if "kernel" in weight.name}


@pytest.mark.usefixtures("eagerly")
def test_what_is_zero_stays_zero_and_the_rest_is_left_alone() -> None:
    model = small()
    kernel = model.get_layer("cell").cell.kernel
    values = kernel.numpy()
    values[::2] = 0
    kernel.assign(values)
    after_step = kept_zeros(model)
    kernel.assign(values + 1)
    after_step(1)
    assert np.array_equal(kernel.numpy(), np.where(values == 0, 0, values + 1))


def test_the_zeros_are_counted_over_all_kernels_and_in_each() -> None:
    model = small(cell="gru")
    kernel = model.get_layer("cell").cell.recurrent_kernel
    kernel.assign(np.zeros(kernel.shape, np.float32))
    each = kernel_sparsities(model)
    assert each["cell/recurrent_kernel"] == 1
    assert sum(each.values()) == 1
    sizes = [int(np.prod(kernel.shape)) for _, kernels in prunable_layers(model) for kernel in kernels]
    assert sparsity(model) == pytest.approx(8 * 24 / sum(sizes))
