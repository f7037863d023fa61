"""Ways to run ``inference.predict_batches`` over a table that is somewhere else: one module for each."""
