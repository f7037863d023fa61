"""The small models that the server has built in.

Their weights lie beside these modules or in the packages of the extras `local`, `local-ner` and `local-all`.
"""
