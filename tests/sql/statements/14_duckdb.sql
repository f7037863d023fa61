-- What DuckDB adds to a query with models.

-- @ file: a file as a table
-- expect: rows in order
-- MindsDB: refused: it reads files that were uploaded
SELECT t.id, m.sentiment FROM 'tests/sql/statements/small.csv' AS t JOIN feel AS m;

-- @ from-first: FROM before SELECT
-- expect: rows
-- MindsDB: refused: it cannot read FROM before SELECT
FROM files.small AS t JOIN mindsdb.feel AS m SELECT t.id, m.sentiment WHERE t.stars > 3;

-- @ exclude: all columns but some
-- expect: rows in order
-- MindsDB: refused: it cannot read EXCLUDE
SELECT * EXCLUDE (text, sentiment_explain) FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ replace: a column in another's place
-- expect: rows
-- MindsDB: refused: it cannot read REPLACE
SELECT m.* REPLACE (lower(sentiment) AS sentiment) FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id = 1;

-- @ columns: columns by a pattern
-- expect: rows in order
-- MindsDB: other rows: it names the columns otherwise
SELECT t.id, COLUMNS('sentiment_(confidence|error)') FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ lateral: a query for each row
-- expect: rows
-- MindsDB: refused: it cannot read LATERAL
SELECT t.id, l.sentiment FROM files.small AS t, LATERAL (SELECT m.sentiment FROM files.orders AS o JOIN mindsdb.feel AS m ON m.text = o.note WHERE o.review_id = t.id) AS l;

-- @ join-using-input: USING with the input's name
-- expect: rows
-- MindsDB: refused: it cannot read USING with columns
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m USING (text);

-- @ model-in-scalar: the prediction of each row's text, in the SELECT list
-- expect: rows
-- MindsDB: refused: a subselect may not name the query around it there
SELECT t.id, (SELECT sentiment FROM feel WHERE text = t.text) AS mood FROM files.small AS t;

-- @ list-of-predictions: predictions as a list
-- expect: rows
-- MindsDB: refused: it cannot read ORDER BY in an aggregate
SELECT t.mood, list(m.sentiment ORDER BY t.id) AS moods FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY t.mood;

-- @ distance: arithmetic with vectors
-- expect: rows in order
-- MindsDB: refused: vectors are text there
SELECT a.id, b.id AS other, round(list_cosine_similarity(m.embedding, k.embedding), 3) AS alike FROM files.small AS a JOIN mindsdb.vec AS m ON m.text = a.text JOIN files.small AS b ON a.id < b.id JOIN mindsdb.vec AS k ON k.text = b.text WHERE a.id = 1 AND k.embedding IS NOT NULL ORDER BY b.id;

-- @ json-path: a part of the explanation
-- expect: rows
SELECT t.id, (m.topic_explain->>'food')::DOUBLE AS food FROM files.small AS t JOIN mindsdb.about AS m WHERE t.id < 3;

-- @ sample-of-labels: arg_max over confidence
-- expect: rows
SELECT m.sentiment, arg_max(t.id, m.sentiment_confidence) AS surest FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL AND t.id <> 6 GROUP BY m.sentiment;

-- @ explain: what a statement would ask
-- expect: rows
-- MindsDB: refused: it has no EXPLAIN of this form
EXPLAIN SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.stars > 3;
