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

-- @ create-table-mindsdb: CREATE TABLE with its query in parentheses
-- expect: done
CREATE TABLE files.kept (SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m);

-- @ select-made: its rows
-- expect: rows
SELECT id, sentiment FROM files.kept WHERE sentiment = 'POSITIVE';

-- @ drop-made: and away
-- expect: done
DROP TABLE files.kept;

-- @ create-table-as: CREATE TABLE ... AS
-- expect: done
-- MindsDB: refused: it cannot read AS there
CREATE TABLE files.kept_here AS SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ select-kept: the table that was made
-- expect: rows
-- MindsDB: refused: it was not made there
SELECT id, sentiment FROM files.kept_here WHERE sentiment = 'POSITIVE';

-- @ drop-kept: and away
-- expect: done
-- MindsDB: refused: it was not made there
DROP TABLE files.kept_here;

-- @ insert: predictions into a table
-- expect: done
-- MindsDB: not run: files take no rows there
CREATE TABLE predicted (id BIGINT, sentiment VARCHAR);

-- @ insert-select: INSERT of a SELECT with a model
-- expect: done
-- MindsDB: not run: files take no rows there
INSERT INTO predicted SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment IS NOT NULL;

-- @ inserted: what came into it
-- expect: rows
-- MindsDB: not run: files take no rows there
SELECT * FROM predicted;

-- @ update: UPDATE by predictions
-- expect: done
-- MindsDB: not run: files take no rows there
UPDATE predicted SET sentiment = p.topic FROM (SELECT t.id, m.topic FROM files.small AS t JOIN mindsdb.about AS m) AS p WHERE p.id = predicted.id;

-- @ updated: what it changed
-- expect: rows
-- MindsDB: not run: files take no rows there
SELECT * FROM predicted;

-- @ delete: DELETE by predictions
-- expect: done
-- MindsDB: not run: files take no rows there
DELETE FROM predicted WHERE id IN (SELECT t.id FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'NEGATIVE');

-- @ deleted: what is left
-- expect: rows
-- MindsDB: not run: files take no rows there
SELECT * FROM predicted;

-- @ drop-predicted: and away
-- expect: done
-- MindsDB: not run: files take no rows there
DROP TABLE predicted;
