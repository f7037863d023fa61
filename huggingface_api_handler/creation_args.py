"""Arguments of `CREATE ML_ENGINE ... FROM huggingface_api USING ...`.

Written by `python -m tools.write_creation_args` from `config/settings.py`; not written by hand.

MindsDB reads this file as text (its syntax tree) before it imports anything: what is not a literal, or an
`ARG_TYPE.X`, reads as None there. Hence literals only, the types as the strings that `ARG_TYPE` stands for, and
no annotation on the assignment, which that reader would not see. `secret` masks the value in SHOW ML_ENGINES.
"""

from collections import OrderedDict

creation_args = OrderedDict(
    api_key={
        "type": "pwd",
        "description": "Your Hugging Face token (hf_...), or the key of your own endpoint (8 letters and digits or "
        "more). You may also write it as token, huggingface_api_key or huggingface_api_api_key. Without it, the "
        "variables HF_TOKEN, HUGGINGFACE_API_KEY, HUGGINGFACE_TOKEN and HUGGING_FACE_HUB_TOKEN are tried in this "
        "order, then the token that `hf auth login` stored; a key that is found so goes to Hugging Face only.",
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
        "description": "Name of the variable in MindsDB's environment that holds the key: one that begins with HF_ or "
        "HUGGINGFACE_, or that the administrator lists in HUGGINGFACE_API_KEY_VARIABLES. It is read at each query, so "
        "you can change the key without a new engine.",
        "required": False,
        "label": "Variable of the API key",
    },
    endpoint={
        "type": "url",
        "description": "URL of an Inference Endpoint, or of any server of yours that speaks the same protocol. A URL "
        "that ends in /models is a server of many models, each under its name; any other serves one. It may be a base "
        "address such as https://host/v1, or the full path of an operation. Default: Hugging Face's serverless "
        "Inference Providers.",
        "required": False,
        "label": "Endpoint",
    },
    protocol={
        "type": "str",
        "description": "What the server at an endpoint is: 'huggingface' (Inference Endpoints, the local server), "
        "'tgi', 'tei', 'openai' (any that is compatible), 'vllm', 'sglang', 'llama.cpp', 'infinity' or 'voyage'. With "
        "'auto' its address shows it, or it is asked once. Default: 'auto'.",
        "required": False,
        "label": "Protocol",
    },
    provider={
        "type": "str",
        "description": "One of Hugging Face's Inference Providers (together, fal-ai, groq, ...), hf-inference, or "
        "auto; for chat also cheapest, fastest or preferred. Default: whoever serves the model, hf-inference first.",
        "required": False,
        "label": "Inference provider",
    },
    bill_to={
        "type": "str",
        "description": "Hugging Face organisation, or the id of a resource group, that pays for the requests. "
        "Default: the owner of the key pays.",
        "required": False,
        "label": "Bill to",
    },
    trusted_hosts={
        "type": "list",
        "description": "Hosts, or hosts with ports such as gw.example:8443, that may get the key of api_key or "
        "api_key_env besides Hugging Face, over HTTPS only: your Inference Endpoints that models name, or a gateway. "
        "Default: none.",
        "required": False,
        "label": "Trusted hosts",
    },
    max_concurrency={
        "type": "int",
        "description": "Upper bound of requests in flight at once, from 1 to 10,000. Default: the engine finds by "
        "itself how many the service takes.",
        "required": False,
        "label": "Requests in flight",
    },
    media_dir={
        "type": "path",
        "description": "Folder whose files the cells of image, audio and video columns may name. Default: cells may "
        "name no files.",
        "required": False,
        "label": "Media folder",
    },
    output_dir={
        "type": "path",
        "description": "Folder for the images, audio and video that models make. Default: they come as data: URIs.",
        "required": False,
        "label": "Output folder",
    },
    allow_private_media={
        "type": "bool",
        "description": "Whether cells may name URLs of private addresses. Set it only where everybody who writes SQL "
        "may reach those addresses. Default: false.",
        "required": False,
        "label": "Private media",
    },
    allow_private_endpoints={
        "type": "bool",
        "description": "Whether a model's own endpoint may be at a private address. The engine's endpoint always may. "
        "Set it only where everybody who writes SQL may reach those addresses. Default: false.",
        "required": False,
        "label": "Private endpoints",
    },
    cache={
        "type": "bool",
        "description": "Whether answers are stored, so that you do not pay twice for the same row: true for every "
        "task, false for none. Default: for the tasks that answer the same twice, so not for generation.",
        "required": False,
        "label": "Keep answers",
    },
    cache_dir={
        "type": "path",
        "description": "Folder of the answer store. Default: huggingface_api_handler in the folder HF_HOME.",
        "required": False,
        "label": "Answer store",
    },
    store={
        "type": "str",
        "description": "Address of a Redis that several machines share, such as 'redis://host:6379/0' or "
        "'rediss://host': answers, usage, quotas, pauses and rates. Its user and password come by the variable "
        "HUGGINGFACE_API_STORE alone, such as rediss://user:password@host:6379/0, and go to that host and port only. "
        "Default: the address in that variable; without it, what is shared stays on each machine.",
        "required": False,
        "label": "Shared store",
    },
    answers={
        "type": "str",
        "description": "With a store: 'shared' stores answers there, for all machines; 'local' on each machine, so "
        "that only usage, quotas, pauses and rates are shared. Default: 'shared'.",
        "required": False,
        "label": "Where answers are stored",
    },
    cache_ttl={
        "type": "int",
        "description": "Seconds for which an answer is stored. Default: 2592000, which is 30 days.",
        "required": False,
        "label": "Keep answers for (s)",
    },
    requests_per_hour={
        "type": "int",
        "description": "Most requests in a clock hour (UTC), counted over all queries and processes of this engine. "
        "Each look at the job of a provider is one. It limits nobody who may create engines: they can create another. "
        "Default: no limit.",
        "required": False,
        "label": "Requests per hour",
    },
    requests_per_month={
        "type": "int",
        "description": "Most requests in a calendar month (UTC), counted over all queries and processes of this "
        "engine. Each look at the job of a provider is one. It limits nobody who may create engines: they can create "
        "another. Default: no limit.",
        "required": False,
        "label": "Requests per month",
    },
    usd_per_month={
        "type": "int",
        "description": "Most dollars in a calendar month (UTC), counted over all queries and processes of this "
        "engine, as max_usd of a model counts them. It limits nobody who may create engines: they can create another. "
        "Default: no limit.",
        "required": False,
        "label": "USD per month",
    },
    prices={
        "type": "dict",
        "description": "What the server costs, in USD: a map with 'input' and 'output' per million tokens, 'cached' "
        "per million tokens from its prefix cache, 'second' per second that it says it computed, and 'request' per "
        "answered request, such as {'input': 0.15, 'output': 0.6}. Default: for chat, what Hugging Face's router says "
        "of the provider that answers; else no costs are known.",
        "required": False,
        "label": "Prices",
    },
    timeout={
        "type": "int",
        "description": "Seconds that one request may take, and that the job of a provider may take, such as a video. "
        "Up to 3600. Default: 120.",
        "required": False,
        "label": "Timeout (s)",
    },
    max_attempts={
        "type": "int",
        "description": "Attempts for a row whose requests fail in passing (a 5xx, a timeout, a broken connection), "
        "from 1 to 100. Default: 5.",
        "required": False,
        "label": "Attempts",
    },
    max_wait={
        "type": "int",
        "description": "Seconds without any answer, while the service asks to wait, after which a query stops. Up to "
        "86400, which is a day. Default: 300.",
        "required": False,
        "label": "Longest wait (s)",
    },
)
