"""The API's operations in words, from its OpenAPI schema: what to send, and what comes back."""

import json
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

#: Of OpenAPI's formats, what to write.
_FORMATS = {"uuid": "a UUID", "date-time": "a time, ISO 8601"}
_TYPES = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "null": "null", "object": "an object",
}  # fmt: skip


def operations(schema: Schema) -> list[dict[str, Any]]:
    """Every operation: method, path, summary, description, scope, status, and what it takes."""
    known = schema["components"]["schemas"]
    return [
        {
            "method": method.upper(),
            "path": where,
            "summary": operation["summary"],
            "description": operation.get("description", ""),
            "scope": "read" if method == "get" else "write",
            "query": _query(operation, known),
            "body": _body(operation, known),
            "status": next(iter(operation["responses"])),
        }
        for where, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def _query(operation: Schema, known: Schema) -> list[dict[str, str]]:
    return [
        _field(one["name"], one["schema"], known, is_needed=one.get("required", False))
        for one in operation.get("parameters", ())
        if one["in"] == "query"
    ]


def _body(operation: Schema, known: Schema) -> list[dict[str, str]]:
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return []
    sent = _followed(content["application/json"]["schema"], known)
    needed = sent.get("required", ())
    return [
        _field(name, field, known, is_needed=name in needed)
        for name, field in sent["properties"].items()
    ]


def _followed(schema: Schema, known: Schema) -> Schema:
    """What is meant by a reference, or by one that may be left out."""
    for one in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        if one.get("type") != "null":
            return _followed(one, known)
    if "$ref" in schema:
        return _followed(known[schema["$ref"].rpartition("/")[2]], known)
    return schema


def _field(name: str, schema: Schema, known: Schema, *, is_needed: bool) -> dict[str, str]:
    default = schema.get("default")
    return {
        "name": name,
        "kind": _kind(schema, known),
        "need": "needed" if is_needed else "",
        "default": "" if default in (None, "") else json.dumps(default).strip('"'),
        "text": schema.get("description", ""),
    }


def _kind(schema: Schema, known: Schema) -> str:
    found = _followed(schema, known)
    if "enum" in found:
        return "one of " + ", ".join(str(each) for each in found["enum"])
    if "const" in found:
        return str(found["const"])
    if found.get("type") == "array":
        return f"a list, each: {_kind(found['items'], known)}"
    plain = _TYPES.get(found.get("type", ""), "")
    return _FORMATS.get(found.get("format", ""), plain) + _limits(found)


def _limits(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None:
        return f", {least} or more"
    if "maxLength" in schema:
        return f", at most {schema['maxLength']} characters"
    return ""
