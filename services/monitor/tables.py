"""Records as Parquet: one row a prediction, a column for each feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.monitor.segment import Segment

_TIME = pa.timestamp("ms", tz="UTC")
_WORD = pa.dictionary(pa.int32(), pa.string())
_FEATURE = "feature_"
# As Python objects a row takes ten times what it takes in a column; so many at once are some megabytes.
ROWS = 20_000
WHOSE = ("bundle_digest", "input_digest")
PREDICTIONS = pa.schema(
    [
        ("time", _TIME),
        ("request_id", pa.binary(16)),
        ("input_digest", pa.binary(32)),
        ("application", _WORD),
        ("environment", _WORD),
        ("version", _WORD),
        ("bundle_digest", _WORD),
        ("source", _WORD),
        ("shadow", pa.bool_()),
        ("status", pa.int16()),
        ("label", _WORD),
        ("confidence", pa.float32()),
        ("labels", pa.list_(pa.string())),
        ("probabilities", pa.list_(pa.float32())),
        ("novelty", pa.float32()),
        ("novel", pa.bool_()),
        ("seconds", pa.float32()),
    ]
)
FEEDBACK = pa.schema([("time", _TIME), ("request_id", pa.binary(16)), ("labels", pa.list_(pa.string()))])


def predictions_table(segment: Segment) -> pa.Table:
    """Answered predictions, then those that failed, which have a status of 5xx and no answer."""
    rows, failures, head = segment.predictions, segment.failures, segment.head
    count, none = len(rows.time), [None] * len(failures)
    total = count + len(failures)
    columns: dict[str, list[object] | pa.Array] = {
        "time": [*rows.time, *(time for time, _, _, _ in failures)],
        "request_id": [*map(bytes.fromhex, rows.request_id), *none],
        "input_digest": [*map(bytes.fromhex, rows.input_digest), *none],
        "application": [head.application] * total,
        "environment": [head.environment] * total,
        "version": [head.version] * total,
        "bundle_digest": [head.bundle_digest] * total,
        "source": [*rows.source, *none],
        "shadow": [*rows.copied, *(copied for _, _, _, copied in failures)],
        "status": [*[200] * count, *(status for _, status, _, _ in failures)],
        "label": [*(labels[0] for labels in rows.labels), *none],
        "confidence": [*(values[0] for values in rows.probabilities), *none],
        "labels": [*rows.labels, *none],
        "probabilities": [*rows.probabilities, *none],
        "novelty": [*rows.novelty, *none],
        "novel": [*rows.novel, *none],
        "seconds": [*rows.seconds, *(seconds for _, _, seconds, _ in failures)],
    }
    schema = PREDICTIONS
    for name, values in sorted(rows.features.items()):
        columns[_FEATURE + name] = [*values, *none]
        schema = schema.append(pa.field(_FEATURE + name, pa.float32()))
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names}, schema)


def feedback_table(segment: Segment) -> pa.Table:
    """What people said."""
    columns = {
        "time": [time for time, _, _ in segment.feedback],
        "request_id": [bytes.fromhex(name) for _, name, _ in segment.feedback],
        "labels": [labels for _, _, labels in segment.feedback],
    }
    return pa.table(
        {name: pa.array(columns[name], FEEDBACK.field(name).type) for name in FEEDBACK.names}, FEEDBACK
    )


def parquet_bytes(content: pa.Table | Sequence[bytes]) -> bytes:
    """A table, or Parquet files one after the other with the union of their columns, as one Parquet file."""
    out = pa.BufferOutputStream()
    if isinstance(content, pa.Table):
        pq.write_table(content, out, compression="zstd")
        return bytes(out.getvalue())
    files = [pq.ParquetFile(pa.BufferReader(data)) for data in content]
    schema = pa.unify_schemas(
        [file.schema_arrow.remove_metadata() for file in files], promote_options="permissive"
    )
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for file in files:
            writer.write_table(_fitted(file.read(), schema))
    return bytes(out.getvalue())


def read_columns(
    data: bytes, columns: Sequence[str], begin: datetime, end: datetime, prefix: str = ""
) -> pa.Table:
    """The rows of a file with `begin` <= time < `end`; a column that it lacks is all null."""
    file = pq.ParquetFile(pa.BufferReader(data))
    have = set(file.schema_arrow.names)
    more = [name for name in file.schema_arrow.names if prefix and name.startswith(prefix)]
    wanted = list(dict.fromkeys([*columns, *more, "time"]))
    table = file.read(columns=[name for name in wanted if name in have])
    for name in wanted:
        if name not in have:
            table = table.append_column(name, pa.nulls(len(table), pa.float32()))
    first, last = (pa.scalar(int(at.timestamp() * 1000), pa.int64()).cast(_TIME) for at in (begin, end))
    inside = pc.and_(pc.greater_equal(table["time"], first), pc.less(table["time"], last))
    return table.filter(inside).select([*columns, *more])


def without_inputs(table: pa.Table, inputs_of: Callable[[str], Sequence[str]]) -> pa.Table:
    """The rows whose input is none of those that are given for their bundle.

    Args:
        table: with the columns `WHOSE`.
        inputs_of: bundle digest to digests of inputs, hex.
    """
    bundles = table["bundle_digest"].cast(pa.string())
    for bundle in pc.unique(bundles).to_pylist():
        inputs = inputs_of(bundle) if bundle else ()
        if inputs:
            digests = pa.array([bytes.fromhex(one) for one in inputs], pa.binary(32))
            found = pc.and_(pc.equal(bundles, bundle), pc.is_in(table["input_digest"], value_set=digests))
            table = table.filter(pc.invert(found))
            bundles = table["bundle_digest"].cast(pa.string())
    return table


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    arrays = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
