-- A SELECT with arguments of its own, behind USING.

-- @ threshold: another threshold
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id < 5 USING threshold = 0.6;

-- @ threshold-and-label: two arguments
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id < 5 USING threshold = 0.6, below_threshold = 'unsure';

-- @ output: the scores of all labels
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id < 3 USING output = 'scores';

-- @ labels: other names of the labels
-- expect: rows
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id < 3 USING labels = {'POSITIVE': 'good', 'NEGATIVE': 'bad'};

-- @ after-order: behind ORDER BY and LIMIT
-- expect: rows in order
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m ORDER BY t.id LIMIT 2 USING threshold = 0.6;

-- @ one-text: with a model alone
-- expect: rows
SELECT sentiment FROM mindsdb.feel WHERE text = 'I love it' USING threshold = 0.9;

-- @ on-error-null: the table with each row's reason
-- expect: rows
SELECT t.id, m.sentiment, m.sentiment_error FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id = 5 USING on_error = 'null';

-- @ on-error-default: where no row is answered, the reason
-- expect: refused: this text cannot be read
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m WHERE t.id = 5;

-- @ on-error-raise: the first row that fails
-- expect: refused: this text cannot be read
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m USING on_error = 'raise';

-- @ dry-run: what it would ask, and nothing sent
-- expect: rows
-- MindsDB: other rows: it counts all rows; here equal inputs are one row
SELECT m.rows, m.nulls, m.distinct_inputs FROM files.small AS t JOIN mindsdb.feel AS m USING dry_run = true;

-- @ misspelt-argument: an argument that there is not
-- expect: refused: threshold
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m USING treshold = 0.5;

-- @ wrong-value: a value that it cannot have
-- expect: refused: threshold
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m USING threshold = 2;

-- @ fixed-argument: what belongs to the model stays
-- expect: refused: task
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m USING task = 'fill-mask';

-- @ key-argument: no key in a SELECT
-- expect: refused: api_key
SELECT t.id, m.sentiment FROM files.small AS t JOIN mindsdb.feel AS m USING api_key = 'hf_aaaaaaaaaaaaaaaaaaaa';
