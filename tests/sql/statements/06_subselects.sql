-- Predictions inside other queries.

-- @ from: a query with a model as a table
-- expect: rows
SELECT p.id FROM (SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m) AS p WHERE p.sentiment = 'NEGATIVE';

-- @ group-outside: groups around it
-- expect: rows
SELECT p.sentiment, COUNT(*) AS n FROM (SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m) AS p GROUP BY p.sentiment;

-- @ join-outside: joined with a table
-- expect: rows
SELECT p.id, o.order_id, p.sentiment FROM (SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m) AS p JOIN files.orders AS o ON o.review_id = p.id;

-- @ model-on-model: a model over a query with another
-- expect: rows
SELECT p.id, p.topic, m.note_mood FROM (SELECT t.id, m.topic, m.topic AS note FROM files.small AS t JOIN mindsdb.about AS m) AS p JOIN mindsdb.feel_note AS m;

-- @ in: IN over predictions
-- expect: rows
SELECT id FROM files.small WHERE id IN (SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE');

-- @ not-in: NOT IN
-- expect: rows
SELECT id FROM files.small WHERE id NOT IN (SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE');

-- @ exists: EXISTS
-- expect: rows
-- MindsDB: refused: a subselect may not name the query around it there
SELECT s.id FROM files.small AS s WHERE EXISTS (SELECT 1 FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id = s.id AND m.sentiment = 'POSITIVE');

-- @ scalar: a value of the SELECT list
-- expect: rows
-- MindsDB: other rows: it names the column after the value
SELECT id, (SELECT COUNT(*) FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE') AS good FROM files.small WHERE id < 3;

-- @ scalar-in-where: compared with an average over predictions
-- expect: rows
SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment_confidence > (SELECT AVG(k.sentiment_confidence) FROM files.small AS s JOIN mindsdb.feel AS k);

-- @ correlated: a value of each row
-- expect: rows
-- MindsDB: refused: a subselect may not name the query around it there
SELECT s.id, (SELECT m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id = s.id) AS mood FROM files.small AS s WHERE s.id < 3;

-- @ cte: a CTE with a model in it
-- expect: rows
-- MindsDB: refused: a filter on a CTE with a model fails there
WITH p AS (SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m) SELECT * FROM p WHERE sentiment = 'POSITIVE';

-- @ cte-as-table: a CTE as the table
-- expect: rows
WITH c AS (SELECT id, text FROM files.small WHERE id < 5) SELECT c.id, m.sentiment FROM c JOIN mindsdb.feel AS m;

-- @ cte-twice: a CTE read twice
-- expect: rows
WITH p AS (SELECT t.id, t.mood, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m) SELECT a.id, b.id AS other FROM p AS a JOIN p AS b ON a.sentiment = b.sentiment AND a.id < b.id;

-- @ cte-of-cte: a CTE of another
-- expect: rows
-- MindsDB: refused: a group of a CTE with a model fails there
WITH c AS (SELECT id, text FROM files.small), p AS (SELECT c.id, m.sentiment FROM c JOIN mindsdb.feel AS m) SELECT sentiment, COUNT(*) AS n FROM p GROUP BY sentiment;

-- @ cte-hides-model: a CTE of a model's name
-- expect: rows
-- MindsDB: refused: the model counts there, and not the CTE of its name
WITH feel AS (SELECT id, mood AS sentiment FROM files.small) SELECT id, sentiment FROM feel WHERE sentiment = 'happy';

-- @ union-all: rows of two queries
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id = 1 UNION ALL SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id = 2;

-- @ union: predictions beside another column
-- expect: rows
SELECT m.sentiment AS label FROM files.small AS t JOIN mindsdb.feel AS m UNION SELECT mood FROM files.small;

-- @ union-of-models: two models
-- expect: rows
SELECT t.id, m.sentiment AS label FROM files.small AS t JOIN mindsdb.feel AS m UNION ALL SELECT t.id, m.topic FROM files.small AS t JOIN mindsdb.about AS m;

-- @ except: rows of one query only
-- expect: rows
-- MindsDB: other rows: it takes the second filter away
SELECT t.mood FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE' EXCEPT SELECT t.mood FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'NEGATIVE';

-- @ intersect: rows of both
-- expect: rows
SELECT t.product FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE' INTERSECT SELECT product FROM files.small WHERE id > 5;

-- @ union-limit: LIMIT on both together
-- expect: rows in order
-- MindsDB: other rows: ORDER BY and LIMIT count for the last query alone there
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id < 3 UNION ALL SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id > 6 ORDER BY id DESC LIMIT 3;

-- @ values: rows of the statement
-- expect: rows
-- MindsDB: refused: it cannot read VALUES in FROM
SELECT v.text, m.sentiment FROM (VALUES ('so good'), ('so bad')) AS v(text) JOIN mindsdb.feel AS m;

-- @ nested: three levels
-- expect: rows
SELECT COUNT(*) AS n FROM (SELECT * FROM (SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id < 7) AS a WHERE a.sentiment IS NOT NULL) AS b;

-- @ semi-join: rows with a partner
-- expect: rows
-- MindsDB: refused: it cannot read SEMI JOIN
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m SEMI JOIN files.orders AS o ON o.review_id = t.id;

-- @ anti-join: rows without one
-- expect: rows
-- MindsDB: refused: it cannot read ANTI JOIN
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m ANTI JOIN files.orders AS o ON o.review_id = t.id;

-- @ recursive: a model in the part of a CTE that repeats
-- expect: refused: recursive
-- MindsDB: refused: it cannot read WITH RECURSIVE
WITH RECURSIVE r AS (SELECT 1 AS n, 'a' AS text UNION ALL SELECT r.n + 1, m.sentiment FROM r JOIN mindsdb.feel AS m WHERE r.n < 3) SELECT * FROM r;
