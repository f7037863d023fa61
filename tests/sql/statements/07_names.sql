-- How names are written.

-- @ backticks: in backticks
-- expect: rows
SELECT t.`id`, m.`sentiment` FROM files.`small` AS t JOIN `mindsdb`.`feel` AS m WHERE t.`id` = 1;

-- @ double-quotes: names in double quotes
-- expect: rows
SELECT t."id", m."sentiment" FROM files.small AS t JOIN mindsdb.feel AS m WHERE t."id" = 1;

-- @ quoted-table: a table in double quotes
-- expect: rows
SELECT t.id, m.sentiment FROM files."small" AS t JOIN mindsdb."feel" AS m WHERE t.id = 1;

-- @ upper-case-keywords: words of SQL in any case
-- expect: rows
select t.id, m.sentiment from files.small as t join mindsdb.feel as m where t.id = 1;

-- @ upper-case-model: a model's name in upper case
-- expect: rows
-- MindsDB: refused: a model's name has its case there
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.FEEL AS m WHERE t.id = 1;

-- @ upper-case-table: a table's name in upper case
-- expect: rows
SELECT t.id, m.sentiment FROM files.SMALL AS t JOIN mindsdb.feel AS m WHERE t.id = 1;

-- @ upper-case-column: columns in upper case
-- expect: rows
SELECT t.ID, m.SENTIMENT FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.STARS = 5;

-- @ upper-case-alias: an alias in another case
-- expect: rows
SELECT T.id, M.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE T.id = 1;

-- @ without-as: aliases without AS
-- expect: rows
SELECT t.id, m.sentiment FROM files.small t JOIN mindsdb.feel m WHERE t.id = 1;

-- @ without-project: the model's name alone
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN feel AS m WHERE t.id = 1;

-- @ version: a version of the model
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel.1 AS m WHERE t.id = 1;

-- @ alias-of-prediction: a new name for a prediction
-- expect: rows
SELECT t.id AS number, m.sentiment AS `how it sounds` FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id = 1;

-- @ mixed-case-column: a column with capitals
-- expect: rows
SELECT o.order_id, o.Country, m.note_mood FROM files.orders AS o JOIN mindsdb.feel_note AS m WHERE o.order_id = 100;

-- @ other-case-column: the same in lower case
-- expect: rows
SELECT o.order_id, m.note_mood FROM files.orders AS o JOIN mindsdb.feel_note AS m WHERE o.country = 'PT';

-- @ comments: comments in between
-- expect: rows
SELECT t.id, /* not JOIN mindsdb.about; */ m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m -- the model
WHERE t.id = 1;

-- @ text-that-looks-like-sql: SQL in a text
-- expect: rows
SELECT t.id, m.sentiment FROM (SELECT 1 AS id, 'SELECT * FROM a JOIN mindsdb.feel; -- so bad' AS text) AS t JOIN mindsdb.feel AS m;

-- @ misspelt-model: a model that there is not
-- expect: refused: feel
-- MindsDB: refused: it names no other
SELECT t.id FROM files.small AS t JOIN mindsdb.feeel AS m;

-- @ misspelt-table: a table that there is not
-- expect: refused: smal
SELECT t.id, m.sentiment FROM files.smal AS t JOIN mindsdb.feel AS m;

-- @ column-with-blank: an input whose name has a blank
-- expect: rows
SELECT t.id, m.product_mood FROM (SELECT id, product AS `Product Name` FROM files.small) AS t JOIN mindsdb.of_product AS m WHERE t.id < 3;
