"""Every failure that ethogram foresees, and the exit code that each one has.

A library raises one of these with a one-line cause and, where there is one, a hint that says
what to do about it. The command line prints both and exits with `exit_code`; a traceback is a bug.
"""

__all__ = [
    "BaselineError",
    "CaptureError",
    "EthogramError",
    "ExportError",
    "PreflightError",
    "RecordingError",
    "UsageError",
]


class EthogramError(Exception):
    """A foreseen failure: *message* is the cause in one line, *hint* is what to do about it.

    *log* is what the failing part printed (libbpf, a container runtime); it is shown below the
    cause on a terminal and kept out of the one-line form.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, log: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log


class RecordingError(EthogramError):
    """A recording or summary that cannot be read: truncated, foreign, newer than this version."""

    exit_code = 1


class UsageError(EthogramError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2


class PreflightError(EthogramError):
    """This host cannot do it: no root, no BTF, no libbpf, a hook that the kernel refuses."""

    exit_code = 3


class CaptureError(EthogramError):
    """Recording failed, or what was recorded is too little or too lossy for what was asked."""

    exit_code = 4


class BaselineError(EthogramError):
    """A baseline that is missing, malformed, newer than this version, or stale."""

    exit_code = 5


class ExportError(EthogramError):
    """The target format cannot express the baseline, and nobody allowed the loss."""

    exit_code = 6
