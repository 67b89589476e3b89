"""The two optional decoders, PyAV and simplejpeg; nothing else imports them.

Both come with the extra `video`. Neither is loaded before a picture needs it.
"""

from __future__ import annotations

from typing import Any

from runtime.errors import MissingDependencyError


def load_pyav(purpose: str) -> Any:
    """Import PyAV.

    Args:
        purpose: what it is needed for, as the beginning of a sentence: "Reading a film".

    Raises:
        MissingDependencyError: where it is not installed.
    """
    try:
        import av
        import av.video.reformatter
    except ImportError:
        raise MissingDependencyError("PyAV", extra="video", purpose=purpose) from None
    return av


def load_simplejpeg(purpose: str) -> Any:
    """Import simplejpeg.

    Args:
        purpose: what it is needed for, as the beginning of a sentence: "Decoding a JPEG".

    Raises:
        MissingDependencyError: where it is not installed.
    """
    try:
        import simplejpeg
    except ImportError:
        raise MissingDependencyError("simplejpeg", extra="video", purpose=purpose) from None
    return simplejpeg
