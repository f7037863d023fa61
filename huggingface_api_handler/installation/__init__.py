"""Putting this handler into the MindsDB of the running Python environment, and taking it out again."""

from .steps import RESTART, InstallationError, Report, install, uninstall

__all__ = ["RESTART", "InstallationError", "Report", "install", "uninstall"]
