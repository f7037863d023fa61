-- What MindsDB has beside statements with models: lists of its own, and knowledge bases.
CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models';

CREATE MODEL mindsdb.kept PREDICT sentiment USING task = 'text-classification', column = 'text', engine = 'hf';

-- @ partitioned: a query that MindsDB can cancel
-- expect: rows
SELECT t.id, m.sentiment FROM files.reviews AS t JOIN mindsdb.kept AS m
USING batch_size = 1000, track_column = id;

-- @ queries: the queries that MindsDB runs
-- expect: refused: queries
-- MindsDB: other rows: MindsDB has a list of them
SELECT id, sql, processed_rows FROM information_schema.queries
WHERE finished_at IS NULL AND error IS NULL AND id = 70001;

-- @ cancel: one is cancelled
-- expect: refused: query_cancel
-- MindsDB: refused: there is no query of that number
SELECT query_cancel(70001);

-- @ knowledge-base: a knowledge base of MindsDB's
-- expect: refused: knowledge bases
-- MindsDB: not run: it wants the local server at its usual address
CREATE KNOWLEDGE_BASE notes
USING embedding_model = {
    "provider": "openai",
    "model_name": "local/minilm-l6-v2-int8",
    "base_url": "http://127.0.0.1:8900/v1",
    "api_key": "none"
};
