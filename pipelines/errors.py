"""Errors that a user can act on: what, where, and the way out, in one line and without personal data."""

from __future__ import annotations


class MurmurError(Exception):
    """Base of every error with a message for the user; the command line prints it and exits with ``exit_code``."""

    exit_code = 1


class UsageError(MurmurError):
    """The command, its arguments or a configuration file are wrong; nothing was done."""

    exit_code = 2


class ConflictError(MurmurError):
    """Somebody else published in between; reading again and computing again is the way out."""
