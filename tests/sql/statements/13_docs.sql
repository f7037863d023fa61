-- The SQL of the pages in docs, word by word, with the engines and tables that they speak of.
CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models';

-- @ tickets: typed columns
-- expect: done
CREATE MODEL mindsdb.tickets PREDICT ticket
USING engine = 'hf', task = 'chat', column = 'text',
  output_schema = {
    'topic': {'enum': ['delivery', 'refund', 'other'], 'description': 'What it is about'},
    'urgency': 'int?',
    'order': {'number': 'str', 'items': [{'name': 'str', 'price': 'float'}]},
    'tags': 'list[str]'
  };

-- @ mails: their rows
-- expect: rows
SELECT m.topic, m.urgency, m.tags, m.ticket_error FROM files.mails AS t JOIN mindsdb.tickets AS m;

-- @ kinds: labels of one's own from chat
-- expect: done
CREATE MODEL mindsdb.kinds PREDICT kind
USING engine = 'hf', task = 'text-classification', column = 'text',
  candidate_labels = ['complaint', 'praise', 'other'],
  question = 'What does the customer write?';

-- @ replies: a prompt of several columns
-- expect: done
CREATE MODEL mindsdb.replies PREDICT reply
USING engine = 'hf', task = 'chat', prompt_columns = ['text', 'product'],
  system_prompt = 'Answer the review in one sentence.';

-- @ prices: what a model costs
-- expect: done
CREATE MODEL mindsdb.reply PREDICT answer
USING engine = 'hf', task = 'chat-completion', column = 'review',
  prices = {'input': 0.15, 'output': 0.6};

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

CREATE MODEL mindsdb.hf_sentiment_classifier PREDICT sentiment USING task = 'text-classification', column = 'text', engine = 'hf';

-- @ estimate: what a query would cost
-- expect: done
SELECT m.requests, m.usd_low, m.usd_high
FROM files.reviews AS t JOIN mindsdb.hf_sentiment_classifier AS m
USING dry_run = true;

-- @ long-texts: more parts of long texts
-- expect: rows
SELECT t.id, m.sentiment, m.sentiment_explain
FROM files.reviews AS t JOIN mindsdb.hf_sentiment_classifier AS m
USING max_chunks = 100;

CREATE MODEL mindsdb.my_model PREDICT y USING task = 'text-classification', column = 'text', engine = 'hf';

-- @ describe-model: who serves a model
-- expect: rows in order
DESCRIBE mindsdb.my_model.model;
