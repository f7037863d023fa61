-- Which reviews mean the same as a sentence of ours, in other words? The score is 1 for the same meaning.
CREATE MODEL mindsdb.hf_similarity
PREDICT similarity
USING
  task = 'sentence-similarity',
  column = 'question',
  column2 = 'text',
  engine = 'hf_api_engine';

SELECT t.product, t.text, m.similarity
FROM files.reviews AS t
JOIN mindsdb.hf_similarity AS m
WHERE m.question = 'It broke and nobody from the company helped me.'
ORDER BY m.similarity DESC
LIMIT 5;

-- The vectors themselves, as JSON text: what a vector column takes.
CREATE MODEL mindsdb.hf_embeddings
PREDICT embedding
USING
  task = 'feature-extraction',
  column = 'text',
  engine = 'hf_api_engine';

SELECT t.id, t.text, m.embedding
FROM files.reviews AS t
JOIN mindsdb.hf_embeddings AS m
LIMIT 5;
