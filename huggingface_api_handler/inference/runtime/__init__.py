"""The path of a row: a frame in, requests, results, a frame out."""
