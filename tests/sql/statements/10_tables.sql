-- Predictions that stay: tables and views.

-- @ view: CREATE VIEW over a model
-- expect: done
CREATE VIEW mindsdb.felt AS (SELECT t.id, t.stars, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m);

-- @ select-view: a view as a table
-- expect: rows
SELECT id, sentiment FROM mindsdb.felt WHERE stars > 3;

-- @ filter-view: a condition on the prediction of a view
-- expect: rows
SELECT id FROM mindsdb.felt WHERE sentiment = 'NEGATIVE';

-- @ group-view: groups of a view
-- expect: rows
SELECT sentiment, COUNT(*) AS n FROM mindsdb.felt GROUP BY sentiment;

-- @ join-view: a view joined with a table
-- expect: rows
SELECT v.id, o.order_id, v.sentiment FROM mindsdb.felt AS v JOIN files.orders AS o ON o.review_id = v.id;

-- @ drop-view: DROP VIEW
-- expect: done
DROP VIEW mindsdb.felt;

-- @ create-table-as: CREATE TABLE of predictions
-- expect: done
CREATE TABLE files.kept (SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m);

-- @ select-kept: the table
-- expect: rows
SELECT id, sentiment FROM files.kept WHERE sentiment = 'POSITIVE';

-- @ drop-kept: and away
-- expect: done
DROP TABLE files.kept;

-- @ create-table-as-standard: CREATE TABLE ... AS
-- expect: done
CREATE TABLE files.kept2 AS SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m;
