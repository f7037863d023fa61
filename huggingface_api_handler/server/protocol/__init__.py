"""What requests and answers look like on the wire.

Modules here parse and check JSON and raw bodies. None of them loads or calls a model.
"""
