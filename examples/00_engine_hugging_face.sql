-- The same engine on Hugging Face. The key stays in the environment of MindsDB and out of the SQL;
-- it can also be given here:  USING api_key = 'hf_...'
CREATE ML_ENGINE hf_api_engine
FROM huggingface_api
USING api_key_env = 'HF_TOKEN';
