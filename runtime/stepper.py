"""One stream through a network, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from runtime.engine import Engine, States

_PIXEL = np.dtype(np.uint8)


class Stepper:
    """One stream's states over an engine.

    Any number of steppers may share an engine and be stepped in any order; each gives what it would give alone, bit
    for bit. The states stay in the interpreter as long as the same stream is stepped.

    Args:
        engine: what runs the network.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.spec = engine.spec
        self._shapes = (engine.spec.input.shape, engine.spec.input.shape[1:])
        self._frame = engine.frame
        self._probabilities = engine.probabilities
        self._kept: States = {name: initial.copy() for name, initial in engine.initial.items()}

    def step(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Take one frame.

        Args:
            pixels: uint8, [height, width, channels] as the spec tells, or with a leading 1.

        Returns:
            Probabilities in the labels' order, float32 [classes]; the caller's own.

        Raises:
            FrameError: where the frame has another type or shape; the states are as before.
        """
        engine = self.engine
        try:
            shape = pixels.shape
            if pixels.dtype != _PIXEL or shape not in self._shapes:
                raise self._misfit(pixels)
        except AttributeError:
            raise self._misfit(pixels) from None
        if engine.seated is not self._kept:
            engine.seat(self._kept)
        self._frame[...] = pixels
        engine.advance()
        return self._probabilities.copy()

    def reset(self) -> None:
        """Go back to the initial states."""
        for name, state in self._states().items():
            state[...] = self.engine.initial[name]

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Copy the states, by name, in the tensors' own shapes and units."""
        return {name: state.copy() for name, state in self._states().items()}

    def restore(self, snapshot: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take up the states of a snapshot.

        Raises:
            FrameError: where they are not this network's; the states are as before.
        """
        states = self._states()
        if snapshot.keys() != states.keys():
            raise FrameError(
                f"The snapshot has the states {sorted(snapshot)}; the model has {sorted(states)}. "
                "Restore one of the same model."
            )
        for name, state in states.items():
            given = snapshot[name]
            if given.dtype != state.dtype or given.shape != state.shape:
                raise FrameError(
                    f"State {name!r} of the snapshot is {given.dtype} {list(given.shape)}; the model has "
                    f"{state.dtype} {list(state.shape)}. Restore one of the same model."
                )
        for name, state in states.items():
            state[...] = snapshot[name]

    def _states(self) -> States:
        return self.engine.states if self.engine.seated is self._kept else self._kept

    def _misfit(self, pixels: object) -> FrameError:
        expected = f"the model expects uint8 {self._shapes[1]}"
        if not isinstance(pixels, np.ndarray):
            return FrameError(f"Frame is a {type(pixels).__name__}; {expected}. Pass it through Preprocessor first.")
        return FrameError(f"Frame is {pixels.dtype} {pixels.shape}; {expected}. Pass it through Preprocessor first.")
