-- The SQL of README.md, word by word. The engine with a key is dropped, and one at the tests' server has its name.

-- @ key-engine: an engine with a key
-- expect: done
CREATE ML_ENGINE hf_api_engine
FROM huggingface_api
USING api_key = 'hf_...';

DROP ML_ENGINE hf_api_engine;

CREATE ML_ENGINE hf_api_engine FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models';

-- @ create-model: the first model
-- expect: done
CREATE MODEL mindsdb.hf_sentiment_classifier
PREDICT sentiment
USING
  task = 'text-classification',
  column = 'text',
  engine = 'hf_api_engine';

-- @ one-text: the first prediction
-- expect: rows
SELECT text, sentiment
FROM mindsdb.hf_sentiment_classifier
WHERE text = 'I like you. I love you.';

-- @ join: each row of a table
-- expect: rows
SELECT t.id, t.text, m.sentiment, m.sentiment_explain
FROM files.reviews AS t JOIN mindsdb.hf_sentiment_classifier AS m;

-- @ vllm: a server of one's own
-- expect: done
CREATE ML_ENGINE vllm FROM huggingface_api USING endpoint = 'http://vllm:8000';

-- @ azure: a server with a key from a variable
-- expect: refused: HF_AZURE_KEY
CREATE ML_ENGINE azure FROM huggingface_api
USING endpoint = 'https://x.openai.azure.com/openai/deployments/gpt?api-version=2024-06-01', api_key_env = 'HF_AZURE_KEY';

-- @ mine: a server whose kind is said
-- expect: done
CREATE ML_ENGINE mine FROM huggingface_api USING endpoint = 'http://gateway:9000/rank', protocol = 'tei';

-- @ dry-run: what a query would cost
-- expect: done
SELECT m.rows, m.distinct_inputs, m.stored, m.requests, m.seconds, m.usd_low, m.usd_high
FROM files.reviews AS t JOIN mindsdb.hf_sentiment_classifier AS m
USING dry_run = true;

-- @ usage: what queries cost
-- expect: done
DESCRIBE mindsdb.hf_sentiment_classifier.usage;

-- @ partitioned: a query that MindsDB can cancel
-- expect: rows
SELECT t.id, m.sentiment FROM files.reviews AS t JOIN mindsdb.hf_sentiment_classifier AS m
USING batch_size = 1000, track_column = id;

-- @ queries: the queries that MindsDB runs
-- expect: refused: queries
-- MindsDB: other rows: MindsDB has a list of them
SELECT id, sql, processed_rows FROM information_schema.queries WHERE finished_at IS NULL AND error IS NULL;

-- @ cancel: one is cancelled
-- expect: refused: query_cancel
-- MindsDB: refused: there is no query of that number
SELECT query_cancel(7);
