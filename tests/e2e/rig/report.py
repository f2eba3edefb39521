"""Figures that a run measured, printed at its end whether it passed or not."""

from collections.abc import Callable

Report = Callable[[str], None]
"""The fixture ``report``: say one line."""
