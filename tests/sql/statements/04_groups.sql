-- Aggregates, groups, DISTINCT, windows.

-- @ group-by-prediction: how many rows of each label
-- expect: rows
SELECT m.sentiment, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY m.sentiment;

-- @ group-by-table: confidence of each product
-- expect: rows
SELECT t.product, MAX(m.sentiment_confidence) AS most FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY t.product;

-- @ average: AVG of stars and of confidence
-- expect: rows
SELECT m.sentiment, AVG(t.stars) AS stars, AVG(m.sentiment_confidence) AS sure FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY m.sentiment;

-- @ having: HAVING
-- expect: rows
SELECT m.sentiment, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY m.sentiment HAVING COUNT(*) > 2;

-- @ order-by-count: groups in order
-- expect: rows in order
SELECT m.sentiment, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL GROUP BY m.sentiment ORDER BY n DESC;

-- @ count-all: one row of all
-- expect: rows
SELECT COUNT(*) AS n, COUNT(m.sentiment) AS answered, COUNT(m.sentiment_error) AS failed FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ count-distinct: different labels
-- expect: rows
SELECT COUNT(DISTINCT m.sentiment) AS labels FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ sum-of-case: a share by CASE
-- expect: rows
SELECT SUM(CASE WHEN m.sentiment = 'POSITIVE' THEN 1 ELSE 0 END) AS good, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ filter-of-aggregate: FILTER
-- expect: rows
-- MindsDB: refused: it cannot read FILTER
SELECT COUNT(*) FILTER (WHERE m.sentiment = 'POSITIVE') AS good FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ distinct: DISTINCT
-- expect: rows
SELECT DISTINCT m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ distinct-on: DISTINCT ON
-- expect: rows
-- MindsDB: refused: DISTINCT ON fails there
SELECT DISTINCT ON (m.sentiment) m.sentiment, t.id FROM files.small AS t JOIN mindsdb.feel AS m ORDER BY m.sentiment, t.id;

-- @ group-by-position: GROUP BY the first column
-- expect: rows
SELECT m.sentiment, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY 1;

-- @ group-by-alias: GROUP BY a name of the SELECT list
-- expect: rows
SELECT lower(m.sentiment) AS label, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY label;

-- @ group-by-all: GROUP BY ALL
-- expect: rows
-- MindsDB: refused: GROUP BY ALL fails there
SELECT t.mood, m.sentiment, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY ALL;

-- @ rollup: sums of all levels
-- expect: rows
SELECT t.mood, m.sentiment, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY ROLLUP (t.mood, m.sentiment);

-- @ window: numbers within a label
-- expect: rows
SELECT t.id, row_number() OVER (PARTITION BY m.sentiment ORDER BY t.id) AS n FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ window-sum: a sum up to each row
-- expect: rows
SELECT t.id, SUM(m.sentiment_confidence) OVER (ORDER BY t.id) AS upto FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ qualify: the first of each label
-- expect: rows
-- MindsDB: refused: it cannot read QUALIFY
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m QUALIFY row_number() OVER (PARTITION BY m.sentiment ORDER BY t.id) = 1;

-- @ string-agg: texts of each label
-- expect: rows
-- MindsDB: refused: it cannot read ORDER BY in an aggregate
SELECT m.sentiment, string_agg(t.product, ', ' ORDER BY t.id) AS products FROM files.small AS t JOIN mindsdb.feel AS m GROUP BY m.sentiment;

-- @ group-by-two-models: labels of two models
-- expect: rows
SELECT a.sentiment, b.topic, COUNT(*) AS n FROM files.small AS t JOIN mindsdb.feel AS a JOIN mindsdb.about AS b GROUP BY a.sentiment, b.topic;

-- @ join-of-groups: groups joined with a model
-- expect: rows
SELECT g.text, g.n, m.sentiment FROM (SELECT text, COUNT(*) AS n FROM files.small GROUP BY text) AS g JOIN mindsdb.feel AS m;

-- @ pivot: labels as columns
-- expect: rows
-- MindsDB: refused: it cannot read PIVOT
PIVOT (SELECT t.mood, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m) ON sentiment IN ('POSITIVE', 'NEGATIVE') USING COUNT(*) GROUP BY mood;
