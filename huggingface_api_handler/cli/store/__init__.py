"""The command `store`: what is stored, old answers deleted, answers taken elsewhere."""
