"""HTTP: one event loop and one session a process, time limits, and what headers say of rate limits."""
