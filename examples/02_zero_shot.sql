-- What is a review about? Labels of our own, and no training.
CREATE MODEL mindsdb.hf_review_topic
PREDICT topic
USING
  task = 'zero-shot-classification',
  column = 'text',
  candidate_labels = ['food', 'travel', 'electronics', 'customer service', 'delivery', 'price'],
  engine = 'hf_api_engine';

SELECT text, topic, topic_confidence
FROM mindsdb.hf_review_topic
WHERE text = 'The parcel came a week late and the courier lost the second one.';

SELECT m.topic, COUNT(*) AS reviews, AVG(t.stars) AS mean_stars
FROM files.reviews AS t
JOIN mindsdb.hf_review_topic AS m
WHERE t.text IS NOT NULL
GROUP BY m.topic
ORDER BY reviews DESC;
