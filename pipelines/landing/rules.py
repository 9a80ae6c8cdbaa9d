"""Every rule by which a row or a file is refused: what it means and how the sender puts it right.

The one list behind ``murmur quarantine list`` and the table in ``docs/sending-data.md``. Where a rule is applied is in
the modules that read, type and judge rows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        meaning: what was wrong.
        fix: what the sender or operator does about it.
        detail: what follows the colon of a reason, such as the name of a field; empty where nothing does.
    """

    meaning: str
    fix: str
    detail: str = ""


_FIELD = "FIELD"
ROW_RULES: dict[str, Rule] = {
    "malformed_json": Rule("the line holds no JSON object", "write one JSON object a line"),
    "truncated_last_line": Rule("the file ends inside its last record", "send the whole file again"),
    "truncated_array": Rule("the file ends inside its array", "send the whole file again"),
    "text_after_array": Rule("something follows the end of the array", "send one array a file"),
    "malformed_csv": Rule("a quote stands where RFC 4180 allows none", "quote the cell and double the quotes inside"),
    "duplicate_key_in_row": Rule("the object names a key twice", "name each field once"),
    "wrong_column_count": Rule("a CSV row has too few or too many cells", "give every row the cells of the header"),
    "line_too_long": Rule("the record is longer than a record may be", "split it, or leave out what is not declared"),
    "invalid_utf8": Rule("bytes of the record are no UTF-8 text", "write the file in UTF-8"),
    "nul_byte": Rule("the record holds a NUL byte", "remove it; the file may be damaged"),
    "missing_required": Rule("a required field is absent, null or empty", "fill it", _FIELD),
    "missing_one_of": Rule("none of the fields is filled, and one has to be", "fill one of them", "FIELD|FIELD"),
    "missing_with": Rule(
        "the field is required by the record's `type` or `channel`: `outlet_id` in a store, `original_transaction_id` "
        "for a return, exchange or void",
        "fill it, or mend the type or channel",
        _FIELD,
    ),
    "invalid_id": Rule(
        "longer than 128 characters, with control characters, or no text", "send the id as text", _FIELD
    ),
    "invalid_timestamp": Rule("no RFC 3339 time and no epoch number", "write `2026-01-02T10:00:00Z`", _FIELD),
    "invalid_date": Rule("no date", "write `2026-01-02`", _FIELD),
    "invalid_timezone": Rule("no IANA time zone", "write a zone such as `Europe/London`", _FIELD),
    "invalid_integer": Rule("no whole number, or beyond 64 bits", "send minor units without a decimal point", _FIELD),
    "invalid_quantity": Rule("no decimal with at most three places", "round it to three places", _FIELD),
    "invalid_boolean": Rule("not true, false, 1 or 0", "send true or false", _FIELD),
    "invalid_currency": Rule("no ISO 4217 code in capital letters", "write a code such as `GBP`", _FIELD),
    "invalid_country": Rule("no ISO 3166-1 code in two capital letters", "write a code such as `GB`", _FIELD),
    "invalid_language": Rule("no BCP 47 tag", "write a tag such as `en-GB`, with hyphens", _FIELD),
    "invalid_gtin": Rule(
        "not 8, 12, 13 or 14 digits with a right check digit", "mend the number or leave it out", _FIELD
    ),
    "invalid_coordinate": Rule("no decimal degrees within the globe", "write degrees such as `51.5072`", _FIELD),
    "not_in_enum": Rule("not one of the values allowed", "use a value of the contract", _FIELD),
    "out_of_range": Rule("the number or day is outside what is kept", "mend the value, or the limits set", _FIELD),
    "invalid_json": Rule("a nested value of the wrong shape", "send the array or object of the contract", _FIELD),
    "too_many_attributes": Rule("more than 200 keys", "leave out what nobody asks for", "attributes"),
    "nested_attribute": Rule("an attribute is an object or a list of lists", "flatten it", "attributes"),
    "wrong_sign": Rule(
        "an amount of a return is above zero", "send what goes back to the customer as negative", _FIELD
    ),
    "amounts_disagree": Rule(
        "`net_minor` is not gross - discount + shipping (+ tax where exclusive), or the lines are further from it than "
        "one minor unit a line",
        "mend the amounts or `tax_inclusive`",
        _FIELD,
    ),
    "personal_data": Rule("an identifier holds an e-mail address, phone number or the like", "use another id", _FIELD),
    "card_data": Rule("the field holds the number of a payment card", "never send card data", _FIELD),
    "invalid_schema_version": Rule("not written as `1` or `1.0`", "write `1.0` or leave it out", "schema_version"),
    "unknown_major_version": Rule("the record follows another major version", "send version 1, or update this system"),
}
FILE_RULES: dict[str, Rule] = {
    "empty_file": Rule("there is no record in the file", "nothing, if nothing was to be said"),
    "not_utf8": Rule("the file is written in another encoding", "write it in UTF-8", "utf-16"),
    "cr_line_ends": Rule("lines end with CR alone", "end lines with LF or CRLF"),
    "broken_gzip": Rule("the compression is damaged or cut off", "send the file again"),
    "broken_zstd": Rule("the compression is damaged or cut off", "send the file again"),
    "damaged_parquet": Rule("no whole Parquet file", "send the file again"),
    "parquet_too_large": Rule("reading it took more memory or time than one file may", "split the file"),
    "expands_too_far": Rule("it holds far more than a file of its size has reason to", "send it with less compression"),
    "unreadable_lines": Rule("lines cannot be told apart", "send one record a line"),
    "header_without_names": Rule("the first CSV line names no columns", "begin the file with a header"),
    "duplicate_column_in_header": Rule("the CSV header names a column twice", "name each column once"),
    "no_known_column_in_header": Rule("the CSV header names no field of the entity", "check `--entity` and the header"),
}
RULES: dict[str, Rule] = {**ROW_RULES, **FILE_RULES}
_UNKNOWN = Rule("refused by a rule of another version", "replay it")


def rule_of(reason: str) -> Rule:
    """The rule behind a reason ``rule`` or ``rule:detail``."""
    return RULES.get(reason.split(":", 1)[0], _UNKNOWN)


def markdown(rules: dict[str, Rule]) -> str:
    """The rules as a Markdown table with the columns reason, what was wrong, what to do."""
    rows = [f"| {_shown(name, rule)} | {rule.meaning} | {rule.fix} |" for name, rule in rules.items()]
    return "\n".join(["| reason | what was wrong | what to do |", "| --- | --- | --- |", *rows]) + "\n"


def _shown(name: str, rule: Rule) -> str:
    # A bar would end the cell of a Markdown table.
    return f"`{name}:{rule.detail}`".replace("|", "\\|") if rule.detail else f"`{name}`"
