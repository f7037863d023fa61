-- A model alone in FROM: one row of what WHERE says.

-- @ one-text: a text of the statement
-- expect: rows
SELECT text, sentiment FROM mindsdb.feel WHERE text = 'I love it';

-- @ star: the inputs stand after the outputs
-- expect: rows
SELECT * FROM mindsdb.feel WHERE text = 'I love it';

-- @ with-alias: the model has an alias
-- expect: rows
SELECT m.text, m.sentiment, m.sentiment_confidence FROM mindsdb.feel AS m WHERE m.text = 'It was awful';

-- @ without-project: the model's name alone
-- expect: rows
SELECT sentiment FROM feel WHERE text = 'I love it';

-- @ two-inputs: both texts of a pair
-- expect: rows
SELECT similarity FROM mindsdb.likeness WHERE question = 'a good soup' AND text = 'the soup was good';

-- @ escaped-quote: a quote in a text
-- expect: rows
SELECT text, sentiment FROM mindsdb.feel WHERE text = 'it''s awful';

-- @ blank: a blank text is answered NULL
-- expect: rows
SELECT sentiment, sentiment_error FROM mindsdb.feel WHERE text = '  ';

-- @ unicode: any text
-- expect: rows
SELECT text, sentiment FROM mindsdb.feel WHERE text = 'Ünïcödé ☂ awful';

-- @ expression-of-output: an expression of the prediction
-- expect: rows
-- MindsDB: refused: it calculates nothing from the prediction of one text
SELECT upper(text) AS loud, sentiment_confidence * 100 AS percent FROM mindsdb.feel WHERE text = 'I love it';

-- @ column-with-blank: an input whose name has a blank
-- expect: rows
SELECT product_mood FROM mindsdb.of_product WHERE `Product Name` = 'awful pizza';

-- @ quoted-column: its name in double quotes
-- expect: rows
-- MindsDB: refused: a name in double quotes is a text there
SELECT product_mood FROM mindsdb.of_product WHERE "Product Name" = 'awful pizza';

-- @ double-quoted-text: double quotes around a text
-- expect: refused: so good
-- MindsDB: other rows: double quotes mean text there, and a name in DuckDB and in standard SQL
SELECT sentiment FROM mindsdb.feel WHERE text = "so good";

-- @ in-list: a model alone reads one text
-- expect: refused: WHERE
SELECT text, sentiment FROM mindsdb.feel WHERE text IN ('I love it', 'It was awful');

-- @ filter-on-prediction: a condition on the prediction of one text
-- expect: rows
-- MindsDB: refused: it would show the constant in the prediction's place, which we refuse there
SELECT text, sentiment FROM mindsdb.feel WHERE text = 'I love it' AND sentiment = 'NEGATIVE';

-- @ filter-outside: the same around it
-- expect: rows
SELECT * FROM (SELECT text, sentiment FROM mindsdb.feel WHERE text = 'I love it') AS p WHERE p.sentiment = 'POSITIVE';

-- @ text-of-subselect: a text from a table
-- expect: rows
SELECT text, sentiment FROM mindsdb.feel WHERE text = (SELECT text FROM files.small WHERE id = 2);

-- @ union-of-texts: two texts
-- expect: rows
SELECT text, sentiment FROM mindsdb.feel WHERE text = 'I love it'
UNION ALL
SELECT text, sentiment FROM mindsdb.feel WHERE text = 'It was awful';

-- @ refused-text: a text that the server refuses, alone
-- expect: refused: this text cannot be read
SELECT sentiment FROM mindsdb.feel WHERE text = 'unreadable';

-- @ refused-text-as-null: its reason in the row
-- expect: rows
SELECT sentiment, sentiment_error FROM mindsdb.feel WHERE text = 'unreadable' USING on_error = 'null';

-- @ no-text: no text at all
-- expect: refused: WHERE
SELECT sentiment FROM mindsdb.feel;
