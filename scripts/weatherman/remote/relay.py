"""Stand between rsync and its ssh, and keep the number of bytes that have passed in a file, so that a stalled transfer is noticed.

Started by rsync (transfer.py gives it as -e): relay.py COUNT_FILE COMMAND [ARGUMENT ...]. Who reads the file holds a lock on it; when
that lock goes, the reader was killed by force, and the transfer is ended here. What rsync itself prints will not do as a sign of
progress: macOS's prints nothing while it sends a file.
"""
import fcntl
import os
import subprocess
import sys
import threading
import time

CHUNK_BYTES = 65536


def end_unread(counter, process):
    """End `process` when nobody holds the lock on the count file any more."""
    while True:
        time.sleep(0.2)
        try:
            fcntl.flock(counter, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return process.terminate()


def main(count_file, *command):
    """Run `command` between our stdin and stdout; return its exit status."""
    for end in (0, 1):
        os.set_blocking(end, True)  # rsync leaves them non-blocking, and a write that fails for that would look like a broken link
    moved = [0, 0]
    counter = os.open(count_file, os.O_WRONLY)

    def copy(source, sink, way):
        try:
            while data := os.read(source, CHUNK_BYTES):
                while data:
                    written = os.write(sink, data)
                    data = data[written:]
                    moved[way] += written
                    os.pwrite(counter, sum(moved).to_bytes(8, "big"), 0)
        except OSError:  # the other end has gone, and says by itself why
            pass
        os.close(sink)

    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    threading.Thread(target=end_unread, args=(counter, process), daemon=True).start()
    threading.Thread(target=copy, args=(0, process.stdin.fileno(), 0), daemon=True).start()
    copy(process.stdout.fileno(), 1, 1)
    status = process.wait()
    os._exit(status if status >= 0 else 128 - status)  # at once: the thread may still wait for rsync


if __name__ == "__main__":
    main(*sys.argv[1:])
