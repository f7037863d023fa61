-- Who and where? People, places and organisations in the reviews.
CREATE MODEL mindsdb.hf_entities
PREDICT entities
USING
  task = 'token-classification',
  column = 'text',
  engine = 'hf_api_engine';

SELECT t.id, t.text, m.entities_explain
FROM files.reviews AS t
JOIN mindsdb.hf_entities AS m
WHERE t.product IN ('Pizzeria Da Nino', 'City bike helmet', 'Winter parka', 'Guesthouse Fjordview', 'Webcam', 'Opera house tickets');
