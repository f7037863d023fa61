"""What requests cost: usage as services report it, prices, and dollars."""
