"""Usage of queries: requests, times, tokens and stored answers, kept over processes."""
