"""The law: a query with models equals the same query in plain DuckDB over materialised predictions.

``queries`` makes a random tree of a query, ``nodes`` writes it twice: as a person writes it, with models in FROM, and
for plain DuckDB, where each model is a lateral subselect of ``predictions``. No code under test takes part
in the second one. ``compare`` says whether two results are the same, ``shrink`` makes a difference small.
"""
