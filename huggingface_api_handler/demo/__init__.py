"""`make demo`: the SQL of examples/, run through a MindsDB and an inference server that are started for it."""

from .show import run_demo

__all__ = ["run_demo"]
