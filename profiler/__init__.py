"""Records what workloads do, with programs in the kernel, and names who did it."""

from profiler.one_thread import import_without_threads

import_without_threads()
