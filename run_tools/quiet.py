"""Keeps the banners that native libraries print while they load away from people's screens."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Information lines of absl's logger, such as "I0000 00:00:1761.0 12 port.cc:153] oneDNN custom operations are on";
# before its logger is set up, TensorFlow prints them whatever TF_CPP_MIN_LOG_LEVEL says.
_BANNER = re.compile(rb"I\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog\(\)")


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Holds back what is written to the error stream, and then lets all but the banners through.

    Meant for imports alone: nothing is shown before the block ends.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # a process without an error stream has nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _BANNER.match(line):
                    os.write(2, line)
