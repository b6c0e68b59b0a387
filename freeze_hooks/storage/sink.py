"""A file, hashed as it is written; a long one in a thread, while the next values are read."""

from __future__ import annotations

import contextlib
import contextvars
import os
import queue
import threading
from typing import Any, Callable, Iterator, NamedTuple, Optional

import xxhash

_GATHER = 1 << 20  # smaller writes are gathered, larger ones go straight to the file
# Bytes written before a thread takes over: it gains a quarter on 1.5 GB, but a file of 100 MB then
# took 0.04 or 0.12 s, by chance, and always 0.035 s without.
_THREADED = 256 << 20
_WAITING = 1  # chunks that may wait beside the one being written
_REPORT: contextvars.ContextVar[Any] = contextvars.ContextVar("report", default=None)


class Written(NamedTuple):
    """What was written: length in bytes, and the xxh3_64 hash of it in hexadecimal."""

    bytes: int
    hash: str


class Sink:
    """Takes bytes for whatever has a `put(buffer)`; see `open_sink`.

    Attributes:
      bytes: how many it was given.
      written: what was written, once that is known.
    """

    def __init__(self, file: Any, threaded: int, expected: int = 0) -> None:
        self._file = file
        self._expected = expected
        self._report = _REPORT.get() if expected else None
        self._threaded = threaded
        self._hash = xxhash.xxh3_64()
        self._gathered = bytearray()
        self._chunks: Any = queue.Queue(_WAITING)
        self._error: Optional[BaseException] = None
        self._thread: Optional[threading.Thread] = None
        self._process = os.getpid()
        self.bytes = 0
        self.written = Written(0, "")

    def write(self, data: Any) -> None:
        """Take a buffer, which must not change any more.

        Raises:
          OSError: an earlier one could not be written.
        """
        if self._error is not None:
            raise self._error
        size = memoryview(data).nbytes
        self.bytes += size
        if self._report is not None:
            self._report(self.bytes, self._expected)
        if size < _GATHER:
            self._gathered += data
            if len(self._gathered) >= _GATHER:
                self._flush()
        else:
            self._flush()
            self._pass_on(data)

    def result(self) -> Written:
        """Wait until all is written.

        Raises:
          OSError: it could not be.
        """
        self._flush()
        self.stop()
        if self._error is not None:
            raise self._error
        self.written = Written(self.bytes, self._hash.hexdigest())
        return self.written

    def stop(self) -> None:
        """End the thread after what it was given."""
        if self._thread is not None and self._process == os.getpid():  # a fork has no such thread
            self._chunks.put(None)
            self._thread.join()
            self._thread = None

    def _flush(self) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, bytearray()
            self._pass_on(gathered)

    def _pass_on(self, data: Any) -> None:
        self._hash.update(data)
        if self._thread is None and not self._start():
            self._file.put(data)
        else:
            self._chunks.put(data)

    def _start(self) -> bool:
        if self.bytes < self._threaded:
            return False
        thread = threading.Thread(target=self._run, name="freeze_hooks writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is about to end
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            data = self._chunks.get()
            if data is None:
                return
            try:
                if self._error is None:
                    self._file.put(data)
            except BaseException as error:
                self._error = error
            del data  # else it stays alive while the next one is awaited


@contextlib.contextmanager
def reporting(report: Callable[[int, int], None]) -> Iterator[None]:
    """Call `report(bytes taken, bytes expected)` of each file this thread writes in the block.

    Files of unexpected length are left out, and so are those that other threads write.
    """
    token = _REPORT.set(report)
    try:
        yield
    finally:
        _REPORT.reset(token)


@contextlib.contextmanager
def open_sink(file: Any, threaded: int = _THREADED, expected: int = 0) -> Iterator[Sink]:
    """A Sink for a Descriptor or the like; its thread begins after so many bytes, and ends with
    the block."""
    sink = Sink(file, threaded, expected)
    try:
        yield sink
    finally:
        sink.stop()
