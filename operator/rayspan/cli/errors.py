"""What ends a command in a plain sentence."""

from __future__ import annotations


class Failure(Exception):
    """The sentence to print on standard error; never a traceback."""

    exit_code = 1


class WrongInput(Failure):
    """A file or an option has to be changed."""

    exit_code = 2
