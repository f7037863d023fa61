-- Conditions on columns of tables, on predictions, and on both.

-- @ on-table: of the table
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.stars > 3;

-- @ on-target: of the column that PREDICT names
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE';

-- @ on-both: of both
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE' AND t.stars < 5;

-- @ on-confidence: a bound of the confidence
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment_confidence > 0.6;

-- @ equal-confidence: = on an output column that PREDICT does not name
-- expect: rows
-- MindsDB: refused: = under the model's alias is an input of the model there, which we refuse
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment_confidence = 0.55;

-- @ equal-field: = on a typed column
-- expect: rows
-- MindsDB: refused: = under the model's alias is an input of the model there, which we refuse
SELECT t.id, m.topic FROM files.small AS t JOIN mindsdb.ticket AS m WHERE m.topic = 'food';

-- @ equal-field-unqualified: the same without the model's alias
-- expect: rows
SELECT t.id, m.topic FROM files.small AS t JOIN mindsdb.ticket AS m WHERE topic = 'food';

-- @ equal-field-outside: the same around it
-- expect: rows
SELECT * FROM (SELECT t.id, m.topic FROM files.small AS t JOIN mindsdb.ticket AS m) AS p WHERE p.topic = 'food';

-- @ error-is-null: rows that were answered
-- expect: rows
SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment_error IS NULL AND m.sentiment IS NOT NULL;

-- @ error-is-not-null: rows that failed, with why
-- expect: rows
SELECT t.id, m.sentiment_error FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment_error IS NOT NULL;

-- @ null-prediction: rows without a prediction
-- expect: rows
SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NULL;

-- @ or: either side
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'NEGATIVE' OR t.stars = 5;

-- @ not: NOT of a condition on the prediction
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE NOT (m.sentiment = 'NEGATIVE');

-- @ in: IN on the prediction
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IN ('NEGATIVE', 'NEUTRAL');

-- @ not-equal: <> on the prediction
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment <> 'POSITIVE';

-- @ like: LIKE on the prediction
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment LIKE 'POS%';

-- @ between: BETWEEN on the confidence
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment_confidence BETWEEN 0.5 AND 0.6;

-- @ case: CASE in a condition
-- expect: rows
-- MindsDB: other rows: it gives no row for a CASE in WHERE
SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE CASE WHEN t.stars > 3 THEN m.sentiment ELSE 'NEGATIVE' END = 'NEGATIVE';

-- @ column-and-prediction: the prediction beside a column
-- expect: rows
SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE upper(t.mood) <> m.sentiment;

-- @ function-of-prediction: a function of the prediction
-- expect: rows
SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE lower(m.sentiment) = 'positive';

-- @ alias-in-where: WHERE reads a name of the SELECT list
-- expect: rows
-- MindsDB: refused: WHERE reads no name of the SELECT list there
SELECT t.id, m.sentiment_confidence > 0.6 AS is_sure FROM files.small AS t JOIN mindsdb.feel AS m WHERE is_sure;

-- @ input-null: rows that have no text
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.text IS NULL;

-- @ text-like: LIKE on the input
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.text LIKE '%pizza%';

-- @ true-false: conditions without a column
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE 1 = 0;

-- @ double-quoted: double quotes around a text
-- expect: refused: POSITIVE
-- MindsDB: other rows: double quotes mean text there, and a name in DuckDB and in standard SQL
SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = "POSITIVE";

-- @ misspelt-output: a column that the model does not have
-- expect: refused: sentimant
SELECT t.id, m.sentimant FROM files.small AS t JOIN mindsdb.feel AS m;
