"""The same work on many items in several processes, the results in the order of the items."""
import itertools
import os
import signal
import threading
import time
from collections import deque

from weatherman.cli import UserError

AHEAD = 4  # items a worker is given ahead of the one whose result is awaited: memory stays flat however many there are


def batches(items, size):
    """Yield lists of `size` items, the last one shorter: what a process is sent at once."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def ordered_map(function, items, workers):
    """Yield function(item) for each item in order, worked out by `workers` processes; by this one when `workers` is 1.

    function: a module's own, or a functools.partial of one, so that it can be sent. An error in it is raised here.
    """
    if workers == 1:
        yield from map(function, items)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    pool = ProcessPoolExecutor(workers, initializer=_begin, initargs=(os.getpid(),))
    try:
        yield from in_order(pool, function, items, workers)
    except BrokenProcessPool:
        raise UserError("a worker process was ended from outside, perhaps for lack of memory.", "--workers 1") from None
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(pool, function, items, workers):
    """Yield function(item) for each item in order, worked out by an executor of so many workers; few items are taken ahead."""
    waiting = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > AHEAD * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _begin(parent):
    """Set up a worker: the parent alone decides what an interrupt means, and a worker does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent):
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
