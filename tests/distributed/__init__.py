"""Tests on the engines of clusters, each in an environment of its own (run.sh makes it)."""
