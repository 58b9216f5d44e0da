"""Files read in threads for their digests, and indices cut into pieces. (No torch: data are opened without it.)"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
from jaxtyping import Int64

from striate.core.progress import Progress, silent
from striate.core.threads import in_order, usable_cores
from striate.data.dataset import FileStore

_FILES = 64  # read by a thread before it reports

Indices = Int64[np.ndarray, " _"]


def digests_of(store: FileStore, index: Indices, progress: Progress = silent) -> Iterator[str]:
    """Yield the digest of each file of `index`, read in threads."""
    threads = usable_cores()
    parts = pieces(index, _FILES)
    read = in_order(lambda part: [store.digest(int(one)) for one in part], parts, threads=threads, ahead=4 * threads)
    done = 0
    with closing(read):
        for digests in read:
            yield from digests
            done += len(digests)
            if len(index) > _FILES:
                progress("reading files", done, len(index))


def pieces(index: Indices, size: int) -> Iterator[Indices]:
    """`index` cut into runs of at most `size`."""
    for start in range(0, len(index), size):
        yield index[start : start + size]
