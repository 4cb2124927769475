"""Which files a module needs, and that the digest is over them alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

from services.common.codebase import TRAINING, blob, code_digest, needed, on_disk
from tests.support.gitops import REPOSITORY, git
from workflows.release.git import Git
from workflows.release.tree import Tree

FILES = {
    "services/train/training.py": "import os\nfrom services.train import fit\nfrom services.data.scan import scan\n"
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from services.train.app import app\n",
    "services/train/fit.py": "def fit():\n    import services.media.mel\n",
    "services/train/app.py": "x = 1\n",
    "services/data/scan.py": "from services.train.fit import fit\n",
    "services/media/mel.py": "",
    "services/media/wav.py": "",
}


def read(files: dict[str, str]):  # type: ignore[no-untyped-def]
    return lambda path: files[path].encode() if path in files else None


def test_what_is_imported_anywhere_is_needed_and_what_a_type_checker_sees_is_not() -> None:
    assert sorted(needed(read(FILES), TRAINING)) == [
        "services/data/scan.py",
        "services/media/mel.py",
        "services/train/fit.py",
        "services/train/training.py",
    ]


def test_only_a_change_of_what_is_needed_changes_the_digest() -> None:
    before = code_digest(read(FILES), TRAINING)
    assert code_digest(read({**FILES, "services/train/app.py": "x = 2\n"}), TRAINING) == before
    assert code_digest(read({**FILES, "services/media/wav.py": "y = 1\n"}), TRAINING) == before
    assert code_digest(read({**FILES, "services/media/mel.py": "y = 1\n"}), TRAINING) != before
    assert code_digest(read({}), TRAINING) == "unknown"


def test_a_file_that_is_no_python_needs_nothing() -> None:
    assert list(needed(read({TRAINING: "def ("}), TRAINING)) == [TRAINING]


def test_a_blob_has_the_identity_that_git_gives_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some\n\0bytes")
    done = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == blob(path.read_bytes())


def test_the_code_on_disk_and_the_same_code_in_git_have_one_digest(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Start")
    tree = Tree(Git(tmp_path), git(tmp_path, "rev-parse", "HEAD").strip())
    assert code_digest(tree.committed, TRAINING) == code_digest(on_disk(tmp_path), TRAINING)


def test_our_own_training_needs_its_preprocessing_and_not_its_service() -> None:
    files = needed(on_disk(REPOSITORY), TRAINING)
    assert "services/media/mel.py" in files
    assert "services/data/splits.py" in files
    assert not {"services/train/app.py", "services/train/jobs.py", "services/serve/app.py"} & files.keys()
