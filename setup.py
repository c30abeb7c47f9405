"""What pyproject.toml cannot say of the build."""

from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel


class TaggedByContent(bdist_wheel):
    """A wheel that was made without a Rust compiler is for every system."""

    def get_tag(self) -> tuple[str, str, str]:
        """Python, ABI and platform of what is in it."""
        if any(Path(self.bdist_dir).rglob("_native*.so")):
            tag: tuple[str, str, str] = super().get_tag()
            return tag
        return "py3", "none", "any"


setup(cmdclass={"bdist_wheel": TaggedByContent})
