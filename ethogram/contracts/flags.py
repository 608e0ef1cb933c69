"""Bit masks that columns of a recording hold."""

from enum import IntFlag

__all__ = ["Access", "ProcessFlag"]


class Access(IntFlag):
    """`files.access`: how a file was opened."""

    READ = 1
    WRITE = 2
    EXEC = 4
    CREATE = 8
    TRUNCATE = 16
    APPEND = 32
    DIRECTORY = 64
    PATH_ONLY = 128
    PATH_RACY = 256


class ProcessFlag(IntFlag):
    """`processes.flags`: what is true of a process, and of what was recorded of it."""

    FORKED = 1
    ARGV_TRUNCATED = 2
    PATH_TRUNCATED = 4
    MEMFD = 8
    DELETED = 16
    UPPER_LAYER = 32
    PRIVILEGES_GAINED = 64
    NO_NEW_PRIVS = 128
    SECCOMP_FILTER = 256
    REDACTED = 512
    ENTERED = 1024
    CWD_TRUNCATED = 2048
    INTERPRETED = 4096
