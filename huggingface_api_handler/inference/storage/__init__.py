"""What outlives a process: stored answers, quotas, and the file that holds them."""
