-- What a model is made of: its arguments, and what the server says about it.
DESCRIBE mindsdb.hf_sentiment_classifier;

DESCRIBE mindsdb.hf_sentiment_classifier.settings;

DESCRIBE mindsdb.hf_sentiment_classifier.model;
