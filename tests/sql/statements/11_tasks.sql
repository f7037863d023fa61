-- What other tasks give.

-- @ zero-shot: labels of one's own
-- expect: rows
SELECT t.id, m.topic, m.topic_confidence FROM files.small AS t JOIN mindsdb.about AS m;

-- @ explain: all labels with their scores
-- expect: rows
SELECT t.id, m.topic_explain FROM files.small AS t JOIN mindsdb.about AS m WHERE t.id < 3;

-- @ entities: names in texts
-- expect: rows
SELECT v.text, m.entities, m.entities_explain FROM (SELECT 'Giuseppe lives in Lisbon' AS text) AS v JOIN mindsdb.who AS m;

-- @ vectors: a vector for each text
-- expect: rows
SELECT t.id, m.embedding FROM files.small AS t JOIN mindsdb.vec AS m;

-- @ similarity: the texts most like a sentence
-- expect: rows in order
SELECT t.id, m.similarity FROM files.small AS t JOIN mindsdb.likeness AS m WHERE m.question = 'the soup was cold' AND t.id > 1 ORDER BY m.similarity DESC, t.id LIMIT 3;

-- @ typed-columns: typed columns of a chat model
-- expect: rows
SELECT t.id, m.topic, m.urgency, m.tags, m.answer_error FROM files.small AS t JOIN mindsdb.ticket AS m;

-- @ typed-number: arithmetic on a typed column
-- expect: rows
SELECT t.id, m.urgency + 1 AS more FROM files.small AS t JOIN mindsdb.ticket AS m WHERE m.urgency > 0;

-- @ whole-answer: the whole answer as JSON
-- expect: rows
SELECT m.answer FROM files.small AS t JOIN mindsdb.ticket AS m WHERE t.id = 1;
