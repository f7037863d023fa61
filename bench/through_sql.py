class Comparison: pass
def mindsdb_python(): return None
