"""Joins tables of several files, which must have the same columns, in any order."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from nnlab.errors import UserError, quote_names, shortened


def refuse_different_columns(schema: pa.Schema, file: Path, first_schema: pa.Schema, first: Path) -> None:
    """Raise `UserError` unless the schemas have the same names."""
    names, first_names = set(schema.names), set(first_schema.names)
    lacking = [name for name in first_schema.names if name not in names]
    further = [name for name in schema.names if name not in first_names]
    if lacking or further:
        parts = {"lacks": lacking, "has also": further}
        faults = [f"{verb} {_columns(names)}" for verb, names in parts.items() if names]
        raise UserError(f"{file} {' and '.join(faults)}: expected the columns of {first}")


def common_schema(schemas: list[pa.Schema], files: list[Path]) -> pa.Schema:
    """The columns of all, each of the narrowest type that holds those of every file."""
    common = schemas[0].remove_metadata()
    for schema, file in zip(schemas[1:], files[1:], strict=True):
        refuse_different_columns(schema, file, schemas[0], files[0])
        fields = []
        for field in common:
            other = schema.field(field.name)
            try:
                merged = pa.unify_schemas(
                    [pa.schema([field]), pa.schema([other])], promote_options="permissive"
                )
            except pa.ArrowException:
                raise UserError(
                    f"{file}: its column '{shortened(field.name)}' is of type {other.type}, and that of "
                    f"{files[0]} of type {field.type}"
                ) from None
            fields.append(merged.field(0))
        common = pa.schema(fields)
    return common


def as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the schema's columns, in its order and of its types."""
    if batch.schema.names != schema.names:
        batch = batch.select(schema.names)
    return batch if batch.schema.equals(schema, check_metadata=False) else batch.cast(schema)


def _columns(names: list[str]) -> str:
    return f"the column{'s' * (len(names) > 1)} {quote_names(names)}"
