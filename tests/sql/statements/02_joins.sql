-- A table joined with a model: every row of the table gets its prediction.

-- @ join: every row, NULL and refused texts among them
-- expect: rows in order
SELECT t.id, m.sentiment, m.sentiment_confidence, m.sentiment_error FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ star: the table's columns, then the model's
-- expect: rows in order
SELECT * FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ star-of-model: the model's columns
-- expect: rows in order
SELECT t.id, m.* FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ star-of-table: the table's columns
-- expect: rows in order
SELECT t.* FROM files.small AS t JOIN mindsdb.feel AS m WHERE m.sentiment = 'POSITIVE';

-- @ left-join: the same as JOIN
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t LEFT JOIN mindsdb.feel AS m;

-- @ inner-join: the same as JOIN
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t INNER JOIN mindsdb.feel AS m;

-- @ cross-join: the same as JOIN
-- expect: rows in order
-- MindsDB: refused: it adds an ON to CROSS JOIN
SELECT t.id, m.sentiment FROM files.small AS t CROSS JOIN mindsdb.feel AS m;

-- @ comma: the same as JOIN
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t, mindsdb.feel AS m;

-- @ model-first: the model before its table
-- expect: rows
SELECT t.id, m.sentiment FROM mindsdb.feel AS m JOIN files.small AS t;

-- @ without-alias: names as they are
-- expect: rows
SELECT small.id, feel.sentiment FROM files.small JOIN mindsdb.feel;

-- @ unqualified: columns without a table
-- expect: rows
SELECT id, sentiment, sentiment_confidence FROM files.small AS t JOIN mindsdb.feel AS m;

-- @ on-other-column: ON says which column is the input
-- expect: rows
SELECT t.id, m.sentiment FROM (SELECT id, product FROM files.small) AS t JOIN mindsdb.feel AS m ON m.text = t.product;

-- @ on-turned: the same the other way round
-- expect: rows
SELECT t.id, m.sentiment FROM (SELECT id, product FROM files.small) AS t JOIN mindsdb.feel AS m ON t.product = m.text;

-- @ on-beside-own: ON names another column where the table has one of the input's name too
-- expect: rows
-- MindsDB: refused: the table that it hands over would have two columns of one name
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m ON m.text = t.product;

-- @ on-expression: ON says an expression
-- expect: rows
-- MindsDB: other rows: it does not see the expression, and asks the table's own column
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m ON m.text = concat(t.product, ' is awful');

-- @ on-and-more: what else ON says is a condition
-- expect: rows
-- MindsDB: other rows: it drops the other conditions of ON
SELECT o.order_id, m.note_mood FROM files.orders AS o JOIN mindsdb.feel_note AS m ON m.note = o.note AND m.note_mood = 'NEGATIVE';

-- @ left-on-and-more: of a LEFT JOIN it drops no row
-- expect: rows
-- MindsDB: other rows: it drops the other conditions of ON
SELECT o.order_id, m.note_mood FROM files.orders AS o LEFT JOIN mindsdb.feel_note AS m ON m.note = o.note AND m.note_mood = 'NEGATIVE';

-- @ subselect: a subselect as the table
-- expect: rows
SELECT t.id, m.sentiment FROM (SELECT id, text FROM files.small WHERE stars > 2) AS t JOIN mindsdb.feel AS m;

-- @ renamed: a column renamed to the input
-- expect: rows
SELECT t.id, m.sentiment FROM (SELECT id, product AS text FROM files.small) AS t JOIN mindsdb.feel AS m;

-- @ two-tables: two tables, then the model
-- expect: rows
SELECT t.id, o.order_id, m.sentiment FROM files.small AS t JOIN files.orders AS o ON o.review_id = t.id JOIN mindsdb.feel AS m;

-- @ model-between: a model between two tables
-- expect: rows
SELECT t.id, o.order_id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m JOIN files.orders AS o ON o.review_id = t.id;

-- @ left-join-after-model: an outer join after the model
-- expect: rows
SELECT t.id, o.order_id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m LEFT JOIN files.orders AS o ON o.review_id = t.id;

-- @ right-join-after-model: rows of the other table alone
-- expect: rows
SELECT t.id, o.order_id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m RIGHT JOIN files.orders AS o ON o.review_id = t.id;

-- @ full-join-after-model: rows of either alone
-- expect: rows
SELECT t.id, o.order_id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m FULL JOIN files.orders AS o ON o.review_id = t.id;

-- @ left-join-before-model: rows without a partner have a NULL input
-- expect: rows
SELECT t.id, o.order_id, m.note_mood FROM files.small AS t LEFT JOIN files.orders AS o ON o.review_id = t.id JOIN mindsdb.feel_note AS m;

-- @ join-on-prediction: a table joined on a prediction
-- expect: rows
SELECT t.id, m.sentiment, o.order_id FROM files.small AS t JOIN mindsdb.feel AS m JOIN files.orders AS o ON o.review_id = t.id AND m.sentiment = 'POSITIVE';

-- @ cross-join-table: a product of two tables
-- expect: rows
-- MindsDB: refused: it adds an ON to CROSS JOIN
SELECT t.id, o.order_id, m.sentiment FROM files.small AS t CROSS JOIN files.orders AS o JOIN mindsdb.feel AS m WHERE t.id < 3 AND o.order_id < 102;

-- @ using-column: USING with a column joins
-- expect: rows
-- MindsDB: refused: it cannot read USING with columns
SELECT id, a.product, m.sentiment FROM files.small AS a JOIN (SELECT id, mood AS said FROM files.small) AS b USING (id) JOIN mindsdb.feel AS m;

-- @ natural-join: columns of one name join
-- expect: rows
-- MindsDB: other rows: it makes a product of a NATURAL JOIN
SELECT id, said, m.sentiment FROM (SELECT id, text FROM files.small) AS a NATURAL JOIN (SELECT id, mood AS said FROM files.small) AS b JOIN mindsdb.feel AS m;

-- @ two-models: two models on one table
-- expect: rows in order
SELECT t.id, a.sentiment, b.topic FROM files.small AS t JOIN mindsdb.feel AS a JOIN mindsdb.about AS b;

-- @ same-model-twice: one model on two columns
-- expect: rows
SELECT t.id, a.sentiment, b.product_mood FROM (SELECT id, text, product AS `Product Name` FROM files.small) AS t JOIN mindsdb.feel AS a JOIN mindsdb.of_product AS b;

-- @ chain: a model reads what another predicted
-- expect: rows
SELECT t.id, a.topic, b.note_mood FROM files.small AS t JOIN mindsdb.about AS a JOIN mindsdb.feel_note AS b ON b.note = a.topic;

-- @ constant-input: an input of a pair is a constant of WHERE
-- expect: rows
SELECT t.id, m.similarity FROM files.small AS t JOIN mindsdb.likeness AS m WHERE m.question = 'the soup was cold';

-- @ all-inputs-constant: the only input is a constant
-- expect: rows
SELECT o.order_id, m.note_mood FROM (SELECT order_id FROM files.orders) AS o JOIN mindsdb.feel_note AS m WHERE m.note = 'awful';

-- @ empty-table: no row
-- expect: rows
SELECT t.id, m.sentiment FROM (SELECT * FROM files.small WHERE id > 99) AS t JOIN mindsdb.feel AS m;

-- @ missing-column: no column of the input's name
-- expect: refused: text
SELECT t.id, m.sentiment FROM (SELECT id FROM files.small) AS t JOIN mindsdb.feel AS m;

-- @ ambiguous-input: two columns of the input's name
-- expect: refused: text
SELECT a.id, m.sentiment FROM files.small AS a JOIN files.small AS b ON a.id = b.id JOIN mindsdb.feel AS m;

-- @ number-as-input: a column of numbers where a text is read
-- expect: refused: numbers
SELECT t.id, m.sentiment FROM (SELECT id, stars AS text FROM files.small) AS t JOIN mindsdb.feel AS m;

-- @ cast-input: the same as a text
-- expect: rows
SELECT t.id, m.sentiment FROM (SELECT id, CAST(stars AS VARCHAR) AS text FROM files.small WHERE id < 3) AS t JOIN mindsdb.feel AS m;
