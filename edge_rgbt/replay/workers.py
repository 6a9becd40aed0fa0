"""A replay spread over processes, a sequence at a time; the results are those of a single process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

import cv2

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.processes import children_spared, end_with_parent
from edge_rgbt.replay.layouts import Recording
from edge_rgbt.replay.options import ReplayOptions
from edge_rgbt.replay.recording import Outcome, outcome_of
from edge_rgbt.replay.tracking import Tracking, open_tracking

_POLL_S = 0.2


class _Worker:
    """What one worker process keeps between its sequences; the engine opens with the first of them."""

    def __init__(self, options: ReplayOptions, counter: Any, stop: Any) -> None:
        self.options = options
        self._counter, self._stop = counter, stop
        self._tracking: Tracking | None = None

    def run(self, recording: Recording) -> Outcome:
        if self._tracking is None:
            self._tracking = open_tracking(self.options.bundle, self.options.engine, self.options.threads)
        return outcome_of(self._tracking, recording, self.options, None, self._count_frame)

    def _count_frame(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt  # as if it had come here, so that half-written files go away
        with self._counter.get_lock():
            self._counter.value += 1


_worker: list[_Worker] = []  # one entry once `_start` ran, which it only does in worker processes


def outcomes_in_workers(
    options: ReplayOptions,
    recordings: Sequence[Recording],
    workers: int,
    advance: Callable[[int], None],
) -> Iterator[Outcome]:
    """Outcomes in the order of `recordings`; `advance` hears of frames while they are tracked.

    Raises EdgeRgbtError if a worker cannot start or dies.
    """
    # Fresh interpreters: engines and decoders hold threads, which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    counter, stop = context.Value("Q", 0), context.Event()
    share = max(1, len(os.sched_getaffinity(0)) // workers)
    options = replace(options, threads=options.threads or share)
    pool = ProcessPoolExecutor(workers, context, _start, (options, counter, stop))
    seen = 0
    try:
        with children_spared(signal.SIGINT, signal.SIGTERM):  # they are told to stop
            futures: list[Future[Outcome]] = [pool.submit(_run, recording) for recording in recordings]
        for future in futures:
            while not future.done():
                wait([future], _POLL_S, FIRST_COMPLETED)
                advance(counter.value - seen)
                seen = counter.value
            yield future.result()
        advance(counter.value - seen)
    except BrokenProcessPool as error:
        raise EdgeRgbtError(
            "a worker process died, perhaps for lack of memory; run again with fewer --workers"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _start(options: ReplayOptions, counter: Any, stop: Any) -> None:
    end_with_parent()
    cv2.setNumThreads(options.threads or 1)
    _worker[:] = [_Worker(options, counter, stop)]


def _run(recording: Recording) -> Outcome:
    return _worker[0].run(recording)
