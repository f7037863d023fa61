-- How do people feel? One sentence, then a table, then a sum over the predictions.
CREATE MODEL mindsdb.hf_sentiment_classifier
PREDICT sentiment
USING
  task = 'text-classification',
  column = 'text',
  engine = 'hf_api_engine';

SELECT text, sentiment
FROM mindsdb.hf_sentiment_classifier
WHERE text = 'I like you. I love you.';

SELECT t.id, t.text, m.sentiment, m.sentiment_explain
FROM files.reviews AS t
JOIN mindsdb.hf_sentiment_classifier AS m;

SELECT m.sentiment, COUNT(*) AS reviews, AVG(t.stars) AS mean_stars, AVG(m.sentiment_confidence) AS mean_confidence
FROM files.reviews AS t
JOIN mindsdb.hf_sentiment_classifier AS m
GROUP BY m.sentiment;
