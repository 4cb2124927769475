from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import DatasetError
from services.data.birdclef import parse_labels
from services.data.dataset import Dataset

HEAD = "primary_label,secondary_labels,author,filename\n"
Write = Callable[..., Path]
Load = Callable[..., Dataset]
Reasons = Callable[[Dataset], dict[str, str]]
labels = st.lists(
    st.text(st.characters(blacklist_characters="'\"\\\n\r", blacklist_categories=["Cs", "Cc"]), min_size=1)
)


@given(labels)
def test_what_python_prints_is_read(given_labels: list[str]) -> None:
    printed = "[" + ", ".join(f"'{label}'" for label in given_labels) + "]"
    assert parse_labels(printed) == given_labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), ("[]", []), ("['']", []), (" [ 'a' ,\"b\", ] ", ["a", "b"]), ("['a', \"o'b\"]", ["a", "o'b"])],
)
def test_spellings_of_lists(text: str, expected: list[str]) -> None:
    assert parse_labels(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "['a'",
        "a",
        "[a]",
        "['a' 'b']",
        "['a'] + ['b']",
        "__import__('os').system('true')",
        "[__import__('os')]",
        "['\\x41']",
        "[['a']]",
        "[1]",
        "[" * 5000,
        "['a'," * 4000,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no list"):
        parse_labels(text)


def test_the_layout(write: Write, load: Load) -> None:
    calls = {f"{label}/XC{n}.wav": ord(label) * 100 + n for label in "ab" for n in range(9)}
    rows = "".join(f"{name[0]},\"['b']\",author{seed % 3},{name}\n" for name, seed in calls.items())
    files = {f"train_audio/{name}": seed for name, seed in calls.items()}
    dataset = load(write({**files, "train.csv": HEAD + rows}, sound=True))
    assert (dataset.kind, dataset.task, dataset.labels) == ("audio", "multi-label", ["a", "b"])
    assert {item.labels for item in dataset.items} == {("a", "b"), ("b",)}
    assert dataset.class_counts() == {"a": 9, "b": 18}
    assert dataset.problems == []


def test_without_a_table_it_is_a_folder_of_classes(write: Write, load: Load) -> None:
    assert load(write({"train_audio/a/1.wav": 1}, sound=True)).labels == ["train_audio"]


def test_one_author_of_a_species_is_in_one_split(write: Write, load: Load) -> None:
    rows, files = "", {}
    for label in "ab":
        for n in range(40):
            files[f"train_audio/{label}/{label}{n}.wav"] = ord(label) * 100 + n
            rows += f"{label},[],author{n % 8},{label}/{label}{n}.wav\n"
    dataset = load(write({**files, "train.csv": HEAD + rows}, sound=True))
    splits: dict[str, set[str]] = {}
    for item in dataset.items:
        splits.setdefault(item.group, set()).add(item.split)
    assert len(splits) == 16
    assert all(len(names) == 1 for names in splits.values())


def test_rows_and_files_that_do_not_fit(write: Write, load: Load, reasons: Reasons) -> None:
    rows = [
        "a,[],x,a/good.wav",
        "b,[],x,b/good.wav",
        "b,[],x,a/other-folder.wav",
        "a,[],x,a/gone.wav",
        "a,[],x,../../secret.wav",
        "a,[],x,/etc/passwd",
        ",[],x,a/nameless.wav",
        "a,nonsense,x,a/nonsense.wav",
        "a,[],x,a/twice.wav",
        "a,\"['b']\",x,a/twice.wav",
        "a,\"['zzz', 'b']\",x,a/unknown.wav",
        "a,[],x,a/good.wav",
        "a",
    ]
    names = [
        "a/good",
        "b/good",
        "a/other-folder",
        "a/nonsense",
        "a/twice",
        "a/unknown",
        "a/unlisted",
        "a/nameless",
    ]
    files: dict[str, int | str] = {f"train_audio/{name}.wav": 50 + n for n, name in enumerate(names)}
    dataset = load(write({**files, "train.csv": HEAD + "\n".join(rows)}, sound=True))
    assert reasons(dataset) == {
        "train_audio/a/other-folder.wav": "mislabelled",
        "train_audio/a/gone.wav": "missing-file",
        "../../secret.wav": "unsafe-path",
        "/etc/passwd": "unsafe-path",
        "a/nameless.wav": "mislabelled",
        "train_audio/a/nameless.wav": "not-in-table",
        "train_audio/a/nonsense.wav": "bad-secondary-labels",
        "train_audio/a/twice.wav": "mislabelled",
        "train_audio/a/unknown.wav": "unknown-secondary-label",
        "train_audio/a/unlisted.wav": "not-in-table",
        "": "unsafe-path",
    }
    assert {item.id: item.labels for item in dataset.items} == {
        "train_audio/a/good.wav": ("a",),
        "train_audio/b/good.wav": ("b",),
        "train_audio/a/unknown.wav": ("a", "b"),
    }


def test_early_years_name_the_file_without_its_folder(write: Write, load: Load) -> None:
    table = "primary_label,filename\na,1.wav\nb,2.wav\n"
    dataset = load(
        write({"train_audio/a/1.wav": 1, "train_audio/b/2.wav": 2, "train.csv": table}, sound=True)
    )
    assert {item.id: item.primary for item in dataset.items} == {
        "train_audio/a/1.wav": "a",
        "train_audio/b/2.wav": "b",
    }
    assert dataset.problems == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "no column primary_label"),
        ("primary_label,file\na,1.wav\n", "no column filename"),
        (b"primary_label,filename\n\xff\xfe,1.wav\n", "cannot be read"),
        ("primary_label,filename\na," + "x" * 200_000 + "\n", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_understood(
    write: Write, load: Load, table: str | bytes, message: str
) -> None:
    root = write({"train_audio/a/1.wav": 1, "train.csv": table}, sound=True)
    with pytest.raises(DatasetError, match=message):
        load(root)
