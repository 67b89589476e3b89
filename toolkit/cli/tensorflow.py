"""TensorFlow without its chatter."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile


def load_tensorflow() -> None:
    """Import TensorFlow, and keep from stderr what its libraries write there before anyone can configure them.

    They write to the file descriptor, so that is what is turned aside; where the import fails, their words are shown.
    """
    if "tensorflow" in sys.modules:
        return
    # tflite-runtime works beside TensorFlow only where it came first, and --interpreter may ask for it.
    with contextlib.suppress(ImportError):
        importlib.import_module("tflite_runtime.interpreter")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as words:
        os.dup2(words.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        except ImportError:
            words.seek(0)
            os.write(kept, words.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
