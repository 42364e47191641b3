"""The versions of Python that are installed on are those that the project says it needs."""

import re
import tomllib

from infra.install import PYTHONS, ROOT, python_names


def test_what_is_installed_on_is_what_the_package_says_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, last = PYTHONS[0], PYTHONS[-1]
    assert project["requires-python"] == f">={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"
    assert python_names() == "3.11, 3.12 or 3.13"


def test_every_pin_has_a_hash_and_none_says_where_it_is_fetched_from() -> None:
    for name in ("requirements.txt", "requirements-bench.txt", "requirements-model.txt", "requirements-embeddings.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        pins = re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE)
        assert pins and "://" not in text and "index" not in text
        assert len(re.findall(r"^[a-z0-9._-]+==[^\n]* \\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins)
