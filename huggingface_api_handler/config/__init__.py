"""What an engine and a model are told: USING arguments, their types, checks, reference and credentials."""
