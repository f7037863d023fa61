"""Asking the large model less, with a guarantee: which inputs a cheaper proxy may answer."""
