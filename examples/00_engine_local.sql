-- An engine that asks the local inference server. Start that one first, in a shell of its own:
--   python -m huggingface_api_handler serve
-- The endpoint ends in /models: it is a server of many models, each under its own name.
CREATE ML_ENGINE hf_api_engine
FROM huggingface_api
USING endpoint = 'http://127.0.0.1:8900/models';
