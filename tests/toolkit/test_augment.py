from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ConfigError
from toolkit.data.augment import Augmentation, AugmentConfig

if TYPE_CHECKING:
    import numpy.typing as npt

NOTHING = {
    "rotation_deg": 0.0,
    "zoom": 0.0,
    "shear": 0.0,
    "shift": 0.0,
    "gain": 0.0,
    "brightness": 0.0,
}


def clip(seed: int = 0, *, frames: int = 4, channels: int = 1) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (frames, 12, 16, channels), np.uint8)


def changed(frames: npt.NDArray[np.uint8], seed: int = 0, **limits: float) -> npt.NDArray[np.uint8]:
    config = AugmentConfig(**{**NOTHING, **limits})  # type: ignore[arg-type]  # mirror is a bool among floats
    return Augmentation(config=config)(frames, np.random.default_rng(seed))


@given(seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]))
def test_the_same_draw_changes_a_clip_in_the_same_way(seed: int, channels: int) -> None:
    augmentation = Augmentation(config=AugmentConfig(noise=3))
    frames = clip(seed, channels=channels)
    one, same = (augmentation(frames, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(one, same)
    assert (one.shape, one.dtype) == (frames.shape, np.dtype(np.uint8))


def test_without_limits_a_clip_stays_as_it_is() -> None:
    assert np.array_equal(changed(clip()), clip())


@given(seed=st.integers(0, 1000))
def test_all_frames_of_a_clip_are_changed_alike(seed: int) -> None:
    still = np.repeat(clip(frames=1), 5, axis=0)
    frames = Augmentation(config=AugmentConfig())(still, np.random.default_rng(seed))
    assert (frames == frames[:1]).all()


@given(seed=st.integers(0, 1000))
def test_each_frame_is_changed_as_if_it_were_alone(seed: int) -> None:
    augmentation = Augmentation(config=AugmentConfig())
    together = augmentation(clip(), np.random.default_rng(seed))
    alone = [augmentation(clip()[i : i + 1], np.random.default_rng(seed))[0] for i in range(4)]
    assert np.array_equal(together, np.stack(alone))


def test_different_draws_change_a_clip_differently() -> None:
    assert not np.array_equal(changed(clip(), 0, rotation_deg=10), changed(clip(), 1, rotation_deg=10))


def test_a_quarter_turn_is_numpys() -> None:
    square = clip()[:, :, :12]
    augmentation = Augmentation(config=AugmentConfig(**{**NOTHING, "rotation_deg": 90}))  # type: ignore[arg-type]  # see above

    class Full(np.random.Generator):
        def uniform(self, *_: object, **__: object) -> npt.NDArray[np.float64]:  # type: ignore[override]  # draws its limit
            return np.array([1.0] + [0.0] * 8)

    turned = augmentation(square, Full(np.random.PCG64(0)))
    assert any(np.array_equal(turned, np.rot90(square, k, axes=(1, 2))) for k in (1, 3))


def test_what_comes_from_outside_is_black() -> None:
    white = np.full((2, 12, 16, 1), 255, np.uint8)
    assert changed(white, 3, shift=0.5).min() == 0


def test_a_gain_makes_all_pixels_brighter_or_darker() -> None:
    grey = np.full((2, 12, 16, 1), 100, np.uint8)
    levels = {int(level) for seed in range(20) for level in np.unique(changed(grey, seed, gain=0.2))}
    assert min(levels) < 95
    assert max(levels) > 105
    assert levels <= set(range(80, 121))


def test_light_and_dark_stop_at_the_limits_of_a_byte() -> None:
    white = np.full((1, 12, 16, 1), 255, np.uint8)
    assert {int(changed(white, seed, brightness=100).max()) for seed in range(10)} >= {255}


def test_noise_differs_from_frame_to_frame() -> None:
    grey = np.full((2, 12, 16, 1), 100, np.uint8)
    noisy = changed(grey, noise=5)
    assert not np.array_equal(noisy[0], noisy[1])
    assert np.abs(noisy.astype(int) - 100).max() <= 5


def test_nothing_is_mirrored_unless_it_is_allowed() -> None:
    assert all(np.array_equal(changed(clip(), seed), clip()) for seed in range(20))
    mirrored = sum(np.array_equal(changed(clip(), seed, mirror=True), clip()[:, :, ::-1]) for seed in range(20))
    kept = sum(np.array_equal(changed(clip(), seed, mirror=True), clip()) for seed in range(20))
    assert mirrored + kept == 20
    assert 5 <= mirrored <= 15


def test_a_negative_limit_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"shear is -1; limits are 0 or more"):
        AugmentConfig(shear=-1)


def test_a_zoom_to_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"zoom is 1; limits are 0 or more, zoom below 1"):
        AugmentConfig(zoom=1)
