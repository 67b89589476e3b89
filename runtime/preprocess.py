"""From whatever a source gives to the pixels that the network takes.

Training and the device both go through `Preprocessor`, so that a network meets on the device what it was trained on:
full-range luma (BT.601's weights where a picture is RGB, a film's own luma as it is coded) or full-range RGB, scaled by
area mean, as uint8. No arithmetic on pixels is done in Python, and none in floating point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.decoders import load_pyav, load_simplejpeg
from runtime.errors import FrameError

if TYPE_CHECKING:
    import numpy.typing as npt

    from runtime.frame import Pixels
    from runtime.spec import InputSpec

MAX_PIXELS = 1 << 26
"""Of one picture; a header that asks for more is hostile or broken."""

# libswscale's flags by value, since PyAV names some of them only from 18 on. With ACCURATE_RND x86-64 and aarch64 give
# the same bits. The two FULL_CHR flags keep the colours of every column: without them white comes out as 253, and half
# the columns of an RGB picture are skipped when it is made smaller by 2 or more.
_AREA, _ACCURATE_RND, _FULL_CHR_H_INT, _FULL_CHR_H_INP = 0x20, 0x40000, 0x2000, 0x4000
_LUMA_FLAGS = _AREA | _ACCURATE_RND
_RGB_FLAGS = _AREA | _ACCURATE_RND | _FULL_CHR_H_INT | _FULL_CHR_H_INP

# A JPEG is decoded at a reduced scale, exactly the model's size or at least this many times as large. Measured on
# 640x480 pictures: from 3 times on the area mean is within half a grey level of the full picture's, on average; from
# 1.25 times (the smallest scale that is large enough, at 64x48) only within 3.7.
_JPEG_MARGIN = 3

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


class Preprocessor:
    """Turn the pictures of one stream into the network's input.

    It keeps its scaler between pictures, so use one for each stream; their size and kind may change at any time.

    Args:
        spec: size, colour and crop of what the network takes.
    """

    def __init__(self, spec: InputSpec) -> None:
        self._shape = spec.shape
        self._height, self._width = spec.height, spec.width
        self._crop = spec.crop
        self._gray = spec.colour == "gray"
        self._format = "gray" if self._gray else "rgb24"
        self._flags = _LUMA_FLAGS if self._gray else _RGB_FLAGS
        self._reformatter: Any = None

    def __call__(self, picture: Any) -> Pixels:
        """Scale a picture and bring it to the model's colours.

        Args:
            picture: uint8 [height, width], [height, width, 1] or [height, width, 3] RGB, full range; a PyAV VideoFrame;
                or the bytes of a JPEG file.

        Returns:
            uint8 [1, height, width, channels]; of an array that is so already, a view.

        Raises:
            FrameError: where it is none of these, or a broken JPEG.
            MissingDependencyError: where it needs a decoder that is not installed.
        """
        if isinstance(picture, np.ndarray):
            return self._from_array(picture)
        if isinstance(picture, (bytes, bytearray, memoryview)):
            return self._from_jpeg(picture)
        av = load_pyav("Scaling a picture")
        if not isinstance(picture, av.VideoFrame):
            raise FrameError(
                f"A picture is a {type(picture).__name__}; the model takes uint8 arrays, video frames and JPEG bytes. "
                "Hand over one of these."
            )
        return self._scale(picture, rotation=getattr(picture, "rotation", 0))

    def _from_array(self, picture: npt.NDArray[Any]) -> Pixels:
        plain = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
        if plain.dtype != np.uint8 or plain.size == 0 or not (plain.ndim == 2 or plain.shape[2:] == (3,)):
            raise FrameError(
                f"A picture has shape {picture.shape} and dtype {picture.dtype}; the model takes (height, width), "
                "(height, width, 1) or (height, width, 3) of uint8. Convert it first."
            )
        if plain.shape[:2] == (self._height, self._width) and (plain.ndim == 2) == self._gray:
            return plain.reshape(self._shape)
        av = load_pyav("Scaling a picture")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(plain), "gray" if plain.ndim == 2 else "rgb24")
        return self._scale(frame)

    def _from_jpeg(self, data: bytes | bytearray | memoryview) -> Pixels:
        simplejpeg = load_simplejpeg("Decoding a JPEG")
        try:
            full_height, full_width, _, _ = simplejpeg.decode_jpeg_header(data)
            if full_height * full_width > MAX_PIXELS:
                raise FrameError(
                    f"A JPEG has {full_width}x{full_height} pixels; at most {MAX_PIXELS} are decoded. Make it smaller."
                )
            height, width = self._cover(full_height, full_width)
            least = {"min_height": height, "min_width": width}
            if simplejpeg.decode_jpeg_header(data, **least)[:2] != (height, width):
                least = {"min_height": _JPEG_MARGIN * height, "min_width": _JPEG_MARGIN * width}
            pixels = simplejpeg.decode_jpeg(data, "GRAY" if self._gray else "RGB", strict=True, **least)
        except ValueError as error:
            if isinstance(error, FrameError):
                raise
            raise FrameError(f"A JPEG of {len(data)} bytes is broken ({error}). The picture is left out.") from None
        if pixels.shape[:2] == (height, width):
            return np.ascontiguousarray(self._cut(pixels)).reshape(self._shape)
        return self._from_array(pixels)

    def _scale(self, frame: Any, *, rotation: int = 0) -> Pixels:
        if self._reformatter is None:
            self._reformatter = load_pyav("Scaling a picture").video.reformatter.VideoReformatter()
        # A telephone writes its films lying on their side, with the angle beside them.
        quarters = round(rotation / 90) % 4
        lying = quarters % 2 == 1
        full_height, full_width = (frame.width, frame.height) if lying else (frame.height, frame.width)
        height, width = self._cover(full_height, full_width)
        try:
            scaled = self._reformatter.reformat(
                frame,
                height if lying else width,
                width if lying else height,
                self._format,
                interpolation=self._flags,
                dst_color_range=_FULL_RANGE,
                threads=1,
            ).to_ndarray()
        except (OSError, ValueError) as error:  # FFmpeg's own errors are one or the other
            raise FrameError(
                f"A {frame.width}x{frame.height} picture of the kind {frame.format.name} cannot be scaled ({error}). "
                "Choose another format for it."
            ) from None
        if quarters:
            scaled = np.rot90(scaled, quarters)
        return np.ascontiguousarray(self._cut(scaled)).reshape(self._shape)

    def _cover(self, full_height: int, full_width: int) -> tuple[int, int]:
        """Tell the height and width to scale the whole picture to, before the centre is cut out."""
        if self._crop == "none":
            return self._height, self._width
        factor = max(self._height / full_height, self._width / full_width)
        return max(self._height, round(full_height * factor)), max(self._width, round(full_width * factor))

    def _cut(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        top, left = (pixels.shape[0] - self._height) // 2, (pixels.shape[1] - self._width) // 2
        return pixels[top : top + self._height, left : left + self._width]
