"""Arguments of `CREATE ML_ENGINE ... FROM huggingface_api USING ...`.

MindsDB reads this file as text (its syntax tree) before it imports anything: what is not a literal, or an
`ARG_TYPE.X`, reads as None there. Hence literals only, the types as the strings that `ARG_TYPE` stands for, and
no annotation on the assignment, which that reader would not see. `secret` masks the value in SHOW ML_ENGINES.
"""

from collections import OrderedDict

creation_args = OrderedDict(
    api_key={
        "type": "pwd",
        "description": "Hugging Face token (hf_...), or the key of your own endpoint. Without it, the variables "
        "HF_TOKEN, HUGGINGFACE_API_KEY, HUGGINGFACE_TOKEN and HUGGING_FACE_HUB_TOKEN are tried, then the token "
        "that `hf auth login` stored.",
        "required": False,
        "label": "API key",
        "secret": True,
    },
    huggingface_api_api_key={
        "type": "pwd",
        "description": "Another name of api_key.",
        "required": False,
        "label": "API key",
        "secret": True,
    },
    huggingface_api_key={
        "type": "pwd",
        "description": "Another name of api_key.",
        "required": False,
        "label": "API key",
        "secret": True,
    },
    token={
        "type": "pwd",
        "description": "Another name of api_key.",
        "required": False,
        "label": "API key",
        "secret": True,
    },
    api_key_env={
        "type": "str",
        "description": "Name of the environment variable that holds the key. It is read at each query, so that "
        "a key can be changed without a new engine.",
        "required": False,
        "label": "Variable of the API key",
    },
    endpoint={
        "type": "url",
        "description": "URL of an Inference Endpoint or of any server that speaks the same protocol. A URL that "
        "ends in /models is a server of many models, each under its name. Without it: Hugging Face's serverless "
        "Inference Providers.",
        "required": False,
        "label": "Endpoint",
    },
    provider={
        "type": "str",
        "description": "Inference provider, such as hf-inference, together, fal-ai or auto.",
        "required": False,
        "label": "Inference provider",
    },
    bill_to={
        "type": "str",
        "description": "Hugging Face organisation that pays for the requests.",
        "required": False,
        "label": "Bill to",
    },
    trusted_hosts={
        "type": "list",
        "description": "Hosts besides Hugging Face's own that may be sent the key, over HTTPS.",
        "required": False,
        "label": "Trusted hosts",
    },
    max_concurrency={
        "type": "int",
        "description": "Most requests in flight at once.",
        "required": False,
        "label": "Requests in flight",
    },
    media_dir={
        "type": "path",
        "description": "Folder whose files the cells of image, audio and video columns may name.",
        "required": False,
        "label": "Media folder",
    },
    output_dir={
        "type": "path",
        "description": "Folder for the images, audio and video that models make. Without it they come as data: URIs.",
        "required": False,
        "label": "Output folder",
    },
    allow_private_media={
        "type": "bool",
        "description": "Whether cells may name URLs of private addresses: only where all who write SQL may reach "
        "those.",
        "required": False,
        "label": "Private media",
    },
    cache={
        "type": "bool",
        "description": "Whether answers are kept, so that the same row is not asked and paid for twice. Without it: "
        "for the tasks that answer the same twice, and not for generation.",
        "required": False,
        "label": "Keep answers",
    },
    cache_dir={
        "type": "path",
        "description": "Folder of the answer store. Without it: huggingface_api_handler in the folder HF_HOME.",
        "required": False,
        "label": "Answer store",
    },
    cache_ttl={
        "type": "int",
        "description": "Seconds for which an answer is kept. Without it: 30 days.",
        "required": False,
        "label": "Keep answers for (s)",
    },
    requests_per_hour={
        "type": "int",
        "description": "Most requests in an hour, over all queries and processes.",
        "required": False,
        "label": "Requests per hour",
    },
    requests_per_month={
        "type": "int",
        "description": "Most requests in a calendar month (UTC), over all queries and processes.",
        "required": False,
        "label": "Requests per month",
    },
    timeout={
        "type": "int",
        "description": "Seconds to wait for the answer to one request.",
        "required": False,
        "label": "Timeout (s)",
    },
)
