"""Tests of several workers, and of what is between them."""
