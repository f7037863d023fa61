"""The one build step that pyproject.toml cannot say; all metadata is there."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithRequirements(build_py):
    """The wheel carries requirements.txt, which MindsDB shows as the handler's."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # runs from the checkout, where the file is
            return
        self.copy_file("requirements.txt", str(Path(self.build_lib) / "huggingface_api_handler" / "requirements.txt"))


setup(cmdclass={"build_py": WithRequirements})
