"""The SELECT of a mapping: one statement that only reads, with `line_no` among its columns."""

import json
from typing import Any

import duckdb

from flows.mapping.header import Header, MappingError

ONLY = "A mapping is one SELECT ... FROM input."
_READS = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}


def checked(connection: duckdb.DuckDBPyConnection, header: Header) -> dict[str, Any]:
    """The SELECT as DuckDB's own tree. Raises MappingError on anything that is not one SELECT."""
    try:
        statements = connection.extract_statements(header.select)
    except duckdb.Error as error:
        raise MappingError(f"{header.path}: {one_line(error)}") from error
    if len(statements) != 1:
        raise MappingError(f"{header.path}: holds {len(statements)} statements. {ONLY}")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise MappingError(f"{header.path}: holds {_a(statements[0].type.name)}. {ONLY}")
    tree = _tree(connection, header.select)
    if tree["error"]:
        raise MappingError(f"{header.path}: {tree['error_message']} {ONLY}")
    if strange := sorted(_nodes(tree) - _READS):
        named = ", ".join(name.removesuffix("_QUERY_NODE") for name in strange)
        raise MappingError(f"{header.path}: holds {_a(named)} inside its SELECT. {ONLY}")
    return tree


def texts(connection: duckdb.DuckDBPyConnection, tree: dict[str, Any]) -> list[str]:
    """The SELECT as it stands, and the ways to give it `line_no` where it does not say it.

    A plain SELECT carries the line of its input row; one that groups, the first line of the group.
    DISTINCT and GROUP BY ALL are never given a column that would change what they mean.
    """
    node = tree["statements"][0]["node"]
    ways = [tree]
    if node["type"] == "SELECT_NODE":
        is_distinct = any("DISTINCT" in m["type"] for m in node["modifiers"])
        is_grouped = node["group_expressions"] or node["aggregate_handling"] != "STANDARD_HANDLING"
        if not is_distinct and not is_grouped:
            ways.append(_with(tree, "SELECT line_no", connection))
        if not is_distinct:
            ways.append(_with(tree, "SELECT min(line_no) AS line_no", connection))
    return [_as_sql(connection, way) for way in ways]


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:600]


def _a(name: str) -> str:
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"


def _with(
    tree: dict[str, Any], column: str, connection: duckdb.DuckDBPyConnection
) -> dict[str, Any]:
    (expression,) = _tree(connection, column)["statements"][0]["node"]["select_list"]
    copy: dict[str, Any] = json.loads(json.dumps(tree))
    copy["statements"][0]["node"]["select_list"].append(expression)
    return copy


def _tree(connection: duckdb.DuckDBPyConnection, select: str) -> dict[str, Any]:
    ((found,),) = connection.execute("SELECT json_serialize_sql(?)", [select]).fetchall()
    tree: dict[str, Any] = json.loads(found)
    return tree


def _as_sql(connection: duckdb.DuckDBPyConnection, tree: dict[str, Any]) -> str:
    ((found,),) = connection.execute(
        "SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]
    ).fetchall()
    return str(found)


def _nodes(tree: Any) -> set[str]:
    """Kinds of every query node in the tree, those of common table expressions too."""
    if isinstance(tree, list):
        return set().union(*map(_nodes, tree))
    if not isinstance(tree, dict):
        return set()
    own = {tree["type"]} if str(tree.get("type", "")).endswith("_NODE") else set()
    return own.union(*map(_nodes, tree.values()))
