"""Errors that a user can act on: what, where, and the way out, in one line and without personal data."""

from __future__ import annotations

import traceback


class MurmurError(Exception):
    """Base of every error with a message for the user; the command line prints it and exits with ``exit_code``."""

    exit_code = 1


class UsageError(MurmurError):
    """The command, its arguments or a configuration file are wrong; nothing was done."""

    exit_code = 2


class ConflictError(MurmurError):
    """Somebody else published in between; reading again and computing again is the way out."""


def unforeseen(error: Exception) -> str:
    """What may be said of an error that nobody foresaw: its kind and place; its text may quote a record."""
    said = f"{type(error).__name__} ({error.strerror})" if isinstance(error, OSError) else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/pipelines/" in frame.filename]
    last = frames[-1] if frames else None
    place = f"pipelines/{last.filename.rsplit('/pipelines/', 1)[1]}:{last.lineno}" if last else "an unknown place"
    return f"internal error: {said} at {place}; MURMUR_DEBUG=1 shows all"
