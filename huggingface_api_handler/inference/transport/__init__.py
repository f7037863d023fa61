"""HTTP: one event loop and one session a process, time limits, and rate limit headers."""
