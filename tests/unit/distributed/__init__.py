"""Tests of what the runners for clusters share, which needs none of the engines."""
