-- What the other files use: an engine, and a model of each kind.
CREATE ML_ENGINE homes FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models';

CREATE MODEL mindsdb.feel
PREDICT sentiment
USING engine = 'homes', task = 'text-classification', column = 'text';

CREATE MODEL mindsdb.feel_note
PREDICT note_mood
USING engine = 'homes', task = 'text-classification', column = 'note';

CREATE MODEL mindsdb.about
PREDICT topic
USING engine = 'homes', task = 'zero-shot-classification', column = 'text', candidate_labels = ['food', 'delivery', 'travel'];

CREATE MODEL mindsdb.who
PREDICT entities
USING engine = 'homes', task = 'token-classification', column = 'text';

CREATE MODEL mindsdb.likeness
PREDICT similarity
USING engine = 'homes', task = 'sentence-similarity', column = 'question', column2 = 'text';

CREATE MODEL mindsdb.vec
PREDICT embedding
USING engine = 'homes', task = 'feature-extraction', column = 'text';

CREATE MODEL mindsdb.ticket
PREDICT answer
USING engine = 'homes', task = 'chat-completion', column = 'text', model = 'chat',
  output_schema = {'topic': 'str', 'urgency': 'int', 'tags': 'list[str]'};

CREATE MODEL mindsdb.of_product
PREDICT product_mood
USING engine = 'homes', task = 'text-classification', column = 'Product Name';
