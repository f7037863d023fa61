-- ORDER BY, LIMIT and OFFSET.

-- @ order-by-prediction: by the prediction, then by a column
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL ORDER BY m.sentiment, t.id;

-- @ order-by-confidence: by the confidence, the surest first
-- expect: rows in order
SELECT t.id, m.sentiment_confidence FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL ORDER BY m.sentiment_confidence DESC, t.id;

-- @ order-by-alias: by a name of the SELECT list
-- expect: rows in order
SELECT t.id, m.sentiment_confidence AS sure FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL ORDER BY sure, t.id;

-- @ order-by-table: by a column
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m ORDER BY t.id DESC;

-- @ order-by-position: by the second column
-- expect: rows in order
SELECT t.id, m.sentiment_confidence FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL ORDER BY 2 DESC, 1;

-- @ nulls-last: where NULLs go without a word
-- expect: rows in order
SELECT m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m ORDER BY m.sentiment DESC;

-- @ limit: the first rows of the table
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m LIMIT 3;

-- @ limit-offset: the rows after them
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m LIMIT 3 OFFSET 2;

-- @ limit-ordered: the best of all rows
-- expect: rows in order
SELECT t.id, m.sentiment_confidence FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL ORDER BY m.sentiment_confidence DESC, t.id LIMIT 2;

-- @ limit-ordered-by-table: the first by a column
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m ORDER BY t.id DESC LIMIT 2;

-- @ limit-after-filter: LIMIT counts the rows that a filter on the prediction left
-- expect: rows in order
-- MindsDB: other rows: it applies LIMIT and OFFSET before a filter on the prediction
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE' LIMIT 2;

-- @ limit-after-filter-offset: and OFFSET too
-- expect: rows in order
-- MindsDB: other rows: it applies LIMIT and OFFSET before a filter on the prediction
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE' LIMIT 2 OFFSET 1;

-- @ limit-after-filter-ordered: the same in an order of the table
-- expect: rows in order
-- MindsDB: other rows: it applies LIMIT and OFFSET before a filter on the prediction
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE' ORDER BY t.id DESC LIMIT 1;

-- @ limit-after-confidence: a filter on the confidence
-- expect: rows in order
-- MindsDB: other rows: it applies LIMIT and OFFSET before a filter on the prediction
SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment_confidence > 0.6 LIMIT 1;

-- @ limit-outside: LIMIT around the filter
-- expect: rows in order
SELECT * FROM (SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE') AS p ORDER BY p.id LIMIT 2;

-- @ limit-of-groups: LIMIT on groups
-- expect: rows in order
SELECT m.sentiment, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL GROUP BY m.sentiment ORDER BY n DESC LIMIT 1;

-- @ limit-of-distinct: LIMIT on distinct rows
-- expect: rows in order
SELECT DISTINCT m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL ORDER BY m.sentiment LIMIT 1;

-- @ limit-zero: no row
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m LIMIT 0;

-- @ limit-large: more than there are
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'NEGATIVE' LIMIT 100;

-- @ limit-in-subselect: LIMIT in the table's subselect
-- expect: rows
SELECT t.id, m.sentiment FROM (SELECT * FROM files.small ORDER BY id DESC LIMIT 3) AS t JOIN mindsdb.feel AS m;

-- @ table-order: without ORDER BY the table's order
-- expect: rows in order
SELECT t.id, a.sentiment, b.topic FROM files.small AS t JOIN mindsdb.feel AS a JOIN mindsdb.about AS b WHERE t.stars IS NOT NULL;
