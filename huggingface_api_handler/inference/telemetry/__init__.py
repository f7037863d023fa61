"""What a query asked and took: its usage, kept over processes."""
