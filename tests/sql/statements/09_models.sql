-- Statements for engines and models.

-- @ create: CREATE MODEL
-- expect: done
CREATE MODEL mindsdb.made PREDICT mood USING engine = 'homes', task = 'text-classification', column = 'text';

-- @ select: the new model
-- expect: rows
SELECT mood FROM mindsdb.made WHERE text = 'I love it';

-- @ create-again: a model of that name
-- expect: refused: made
CREATE MODEL mindsdb.made PREDICT mood USING engine = 'homes', task = 'text-classification', column = 'text';

-- @ create-if-not-exists: unless there is one
-- expect: done
CREATE MODEL IF NOT EXISTS mindsdb.made PREDICT mood USING engine = 'homes', task = 'text-classification', column = 'text';

-- @ create-or-replace: in its place
-- expect: done
CREATE OR REPLACE MODEL mindsdb.made PREDICT feeling USING engine = 'homes', task = 'text-classification', column = 'note';

-- @ select-replaced: its new column
-- expect: rows
SELECT feeling FROM mindsdb.made WHERE note = 'I love it';

-- @ retrain: RETRAIN
-- expect: done
RETRAIN mindsdb.made;

-- @ select-retrained: after RETRAIN
-- expect: rows
SELECT feeling FROM mindsdb.made WHERE note = 'so bad';

-- @ drop: DROP MODEL
-- expect: done
DROP MODEL mindsdb.made;

-- @ select-dropped: a model that was dropped
-- expect: refused: made
SELECT feeling FROM mindsdb.made WHERE note = 'I love it';

-- @ drop-again: a model that there is not
-- expect: refused: made
DROP MODEL mindsdb.made;

-- @ drop-if-exists: if there is one
-- expect: done
DROP MODEL IF EXISTS mindsdb.made;

-- @ unknown-task: a misspelt task
-- expect: refused: did you mean 'text-classification'
CREATE MODEL mindsdb.bad PREDICT y USING engine = 'homes', task = 'text-clasification', column = 'text';

-- @ unknown-argument: a misspelt argument
-- expect: refused: did you mean 'column'
CREATE MODEL mindsdb.bad PREDICT y USING engine = 'homes', task = 'text-classification', colum = 'text';

-- @ no-column: the column is missing
-- expect: refused: needs column
CREATE MODEL mindsdb.bad PREDICT y USING engine = 'homes', task = 'text-classification';

-- @ target-is-input: the prediction would have its input's name
-- expect: refused: input column
CREATE MODEL mindsdb.bad PREDICT text USING engine = 'homes', task = 'text-classification', column = 'text';

-- @ key-in-model: no key in CREATE MODEL
-- expect: refused: CREATE ML_ENGINE
CREATE MODEL mindsdb.bad PREDICT y USING engine = 'homes', task = 'text-classification', column = 'text', api_key = 'hf_aaaaaaaaaaaaaaaaaaaa';

-- @ unknown-engine: an engine that there is not
-- expect: refused: no_such
CREATE MODEL mindsdb.bad PREDICT y USING engine = 'no_such', task = 'text-classification', column = 'text';

-- @ engine-again: an engine of that name
-- expect: refused: homes
CREATE ML_ENGINE homes FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models';

-- @ engine-unknown-argument: a misspelt argument of an engine
-- expect: refused: did you mean 'endpoint'
CREATE ML_ENGINE bad FROM huggingface_api USING endpont = 'http://127.0.0.1:8900/models';

-- @ engine-variable: a variable that may not be read
-- expect: refused: HUGGINGFACE_API_KEY_VARIABLES
CREATE ML_ENGINE bad FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models', api_key_env = 'PATH';

-- @ engine-drop: DROP ML_ENGINE of an engine without models
-- expect: done
CREATE ML_ENGINE short_lived FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models';

-- @ engine-dropped: and away
-- expect: done
DROP ML_ENGINE short_lived;

-- @ finetune: FINETUNE
-- expect: refused: Fine-tune on Hugging Face
-- MindsDB: not run: it fails in the background there
FINETUNE mindsdb.feel FROM files (SELECT * FROM small);

-- @ describe: DESCRIBE of a model
-- expect: rows
-- MindsDB: other rows: it shows the columns of mindsdb.models beside them
DESCRIBE mindsdb.feel;

-- @ describe-settings: its arguments
-- expect: rows
DESCRIBE mindsdb.feel.settings;

-- @ describe-task: the task's arguments
-- expect: rows
DESCRIBE mindsdb.feel.task;

-- @ describe-unknown: a table that there is not
-- expect: refused: settings
-- MindsDB: other rows: it gives the error as a row
DESCRIBE mindsdb.feel.no_such;
