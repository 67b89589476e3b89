"""Pictures over HTTP, from a real server on loopback, through the reader that ships."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg

from runtime.errors import SourceError
from runtime.sources import open_source
from runtime.sources.live import LiveSource
from runtime.sources.watch import Patience
from runtime.testing import make_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC = make_spec(height=48, width=64, fps=20.0)


class Camera(BaseHTTPRequestHandler):
    """Sends one JPEG after the other, as cameras do; a connection ends after `pictures`."""

    pictures = 2000
    silent_after = 2000
    period_s = 0.01
    sizes = ((48, 64),)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(self.pictures):
            height, width = self.sizes[number % len(self.sizes)]
            data = simplejpeg.encode_jpeg(np.full((height, width, 3), number % 25 * 10, np.uint8), quality=95)
            try:
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
                self.wfile.write(data + b"\r\n")
            except OSError:
                return
            time.sleep(self.period_s if number < self.silent_after else 3.0)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(**changes: Any) -> Iterator[str]:
    handler = type("Handler", (Camera,), changes)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://user:geheim@127.0.0.1:{server.server_port}/stream?key=geheim"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_camera_of_jpegs_over_http_is_read_through_the_command_lines_own_name() -> None:
    with serving() as address, open_source(address, SPEC) as camera:
        frames = list(itertools.islice(camera.frames(), 20))
    assert camera.live
    assert all(frame.picture.shape == (1, 48, 64, 1) for frame in frames)
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    shades = {int(frame.picture[0, 24, 32, 0]) for frame in frames}
    assert len(shades) > 3


def test_a_slow_camera_over_http_is_not_taken_for_a_late_one() -> None:
    with serving(period_s=0.15) as address, LiveSource(address, SPEC) as camera:
        frames = list(itertools.islice(camera.frames(), 12))
    assert camera.counts.stale == 0
    assert not any(frame.begins for frame in frames)


def test_pictures_that_change_their_size_in_mid_stream_are_all_brought_to_the_models() -> None:
    with serving(sizes=((48, 64), (480, 640), (100, 30))) as address, LiveSource(address, SPEC) as camera:
        frames = list(itertools.islice(camera.frames(), 10))
    assert all(frame.picture.shape == (1, 48, 64, 1) for frame in frames)
    assert camera.counts.broken == 0


def test_a_server_that_hangs_up_is_called_again() -> None:
    soon = Patience(first_s=0.05)
    with serving(pictures=10) as address, LiveSource(address, SPEC, patience=soon) as camera:
        frames = camera.frames()
        assert next(frame for frame in frames if frame.begins)
    assert camera.problems
    assert not any("geheim" in problem for problem in camera.problems)


def test_a_server_that_falls_silent_with_the_connection_open_is_called_again() -> None:
    soon = Patience(stall_s=0.5, first_s=0.05)
    with serving(silent_after=5) as address, LiveSource(address, SPEC, patience=soon) as camera:
        assert next(frame for frame in camera.frames() if frame.begins)
    assert camera.counts.stalls == 1


def test_nothing_at_an_address_is_tried_again_and_the_password_not_told() -> None:
    address = "rtsp://user:geheim@127.0.0.1:1/stream"
    with LiveSource(address, SPEC, patience=Patience(first_s=0.05, longest_s=0.05)) as camera:
        threading.Timer(1.5, camera.stop).start()
        assert list(camera.frames()) == []
    assert camera.counts.openings > 1
    assert "rtsp://…@127.0.0.1:1/stream is backing off: it cannot be opened" in camera.problems[0]


def test_a_live_source_needs_the_model_that_its_pictures_are_for() -> None:
    with pytest.raises(SourceError, match="is live, and its pictures are made for one model"):
        open_source("http://127.0.0.1/x")
