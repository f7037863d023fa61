"""The same predictions over tables of Dask, Ray and Spark: each worker asks for its own part of the rows.

One module for each engine, which its extra installs: ``dask``, ``ray``, ``spark``. What they share is in ``job``,
``worker`` and ``job_usage``.
"""
