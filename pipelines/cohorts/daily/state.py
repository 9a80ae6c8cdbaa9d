"""Running totals of the subjects of one kind, by subject and by subject and key of a family, and their distinct values.

The working form has numbers for ids; the stored form has the ids and is sorted, so that equal states are equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.cohorts.daily.space import Ints, Names, Space, pair_codes, parts
from pipelines.cohorts.daily.totals import Total

#: Value of ``first`` and ``last`` where nothing counts.
NONE = -(2**62)
#: Pairs that are not worth pruning.
_FEW = 10_000
#: Bits of a row's place that hold the place of its subject.
_RANK_BITS = 40


@dataclass
class State:
    """State at the end of a day.

    Attributes:
        subjects: by subject: a column per total without key, and those of the latches of cohorts without family.
        families: key field -> by subject and key: totals with that key, and latches of its cohorts.
        values: field -> its values, for keys and for what is counted as distinct.
        distinct: name of a distinct total -> how many counting rows each pair of subject and value has.
        bounds: percentiles of the day, by name; absent where there is none.
        first_day: ordinal of the first day with rows; 0 before it.
    """

    subjects: Names = field(default_factory=Names)
    families: dict[str, Space] = field(default_factory=dict)
    values: dict[str, Names] = field(default_factory=dict)
    distinct: dict[str, Space] = field(default_factory=dict)
    bounds: dict[str, int] = field(default_factory=dict)
    first_day: int = 0
    _totals: dict[str, Total] = field(default_factory=dict)

    def space(self, key: str) -> Space:
        """Subjects, or the pairs of a family."""
        return self.families[key] if key else self.subjects

    def have(self, totals: list[Total]) -> None:
        """Have a column for every total."""
        self.family("")
        for total in totals:
            self._totals[total.name] = total
            self.family(total.key)
            default = NONE if total.kind in ("first", "last", "min", "max") else 0
            self.space(total.key).column(total.name, default)
            if total.kind == "distinct":
                self.values.setdefault(total.field, Names())
                self.distinct.setdefault(total.name, Space()).column("rows")

    def family(self, key: str) -> None:
        """Have the pairs of a family."""
        if key and key not in self.families:
            self.families[key] = Space()
            self.values.setdefault(key, Names())
        self.space(key).column("changed", NONE)

    def prune(self) -> None:
        """Let go of pairs for which no row counts any more and of values that no pair has, once they are most of all.

        Otherwise a long run would keep all that it ever saw.
        """
        for space in self.distinct.values():
            counting = space["rows"] != 0
            if space.height > _FEW and 2 * int(counting.sum()) < space.height:
                space.keep(counting)
        for name, names in self.values.items():
            if names.height > _FEW:
                self._prune_values(name, names)

    def _prune_values(self, field: str, names: Names) -> None:
        spaces = [space for total, space in self.distinct.items() if self._totals[total].field == field]
        spaces += [space for key, space in self.families.items() if key == field]
        used = np.zeros(names.height, dtype=np.bool_)
        for space in spaces:
            used[parts(space.codes)[1]] = True
        if 2 * int(used.sum()) < names.height:
            number = np.cumsum(used) - 1
            names.keep(used)
            for space in spaces:
                first, second = parts(space.codes)
                space.recode(pair_codes(first, number[second]))

    def owners(self, key: str, rows: Ints | None = None) -> Ints:
        """Number of the subject of each row of a space, or of some of its rows."""
        if not key:
            return np.arange(self.subjects.height, dtype=np.int64) if rows is None else rows
        codes = self.families[key].codes
        return parts(codes if rows is None else codes[rows])[0]

    def keys(self, key: str, rows: Ints | None = None) -> Ints:
        """Number of the value of the family's field of each row of its space, or of some of its rows."""
        codes = self.families[key].codes
        return parts(codes if rows is None else codes[rows])[1]

    def order(self, key: str, rows: Ints) -> Ints:
        """Numbers in the order of some rows of a space by subject, of a family by key and subject."""
        places = self.subjects.rank()[self.owners(key, rows)]
        return (self.values[key].rank()[self.keys(key, rows)] << _RANK_BITS) | places if key else places

    def stored(self) -> dict[str, pl.DataFrame]:
        """Frames that say everything, sorted."""
        frames = {"subjects": self._frame(self.subjects, {"subject": self.subjects.ids}, ["subject"])}
        frames["bounds"] = pl.DataFrame(
            {"name": ["", *self.bounds], "value": [self.first_day, *self.bounds.values()]},
            schema={"name": pl.String, "value": pl.Int64},
        ).sort("name")
        for key, space in self.families.items():
            ids = {
                "subject": self.subjects.ids.gather(self.owners(key)),
                "key": self.values[key].ids.gather(self.keys(key)),
            }
            frames[f"family-{key}"] = self._frame(space, ids, ["subject", "key"])
        for place, (total, space) in enumerate(sorted(self.distinct.items())):
            frames[f"distinct-{place}"] = self._pairs(total, space)
        return frames

    def _frame(self, space: Space, ids: Mapping[str, pl.Series], order: list[str]) -> pl.DataFrame:
        columns = {name: space[name] for name in sorted(space.defaults)}
        touched = pl.any_horizontal([pl.lit(False), *(pl.col(name) != space.defaults[name] for name in columns)])
        return pl.DataFrame({**ids, **columns}).filter(touched).sort(order)

    def _pairs(self, name: str, space: Space) -> pl.DataFrame:
        owner, value = parts(space.codes)
        total, kept = self._totals[name], space["rows"] != 0
        owner, ids = owner[kept], {}
        if total.key:
            ids["key"] = self.values[total.key].ids.gather(self.keys(total.key, owner))
            owner = self.owners(total.key, owner)
        ids = {"subject": self.subjects.ids.gather(owner), **ids}
        frame = pl.DataFrame(
            {**ids, "value": self.values[total.field].ids.gather(value[kept]), "rows": space["rows"][kept]}
        )
        return frame.sort(*ids, "value")

    def restore(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Take in what ``stored`` gave; every column is there already and nobody is."""
        _fill(self.subjects, self.subjects.of(frames["subjects"]["subject"]), frames["subjects"], ("subject",))
        for name, value in frames["bounds"].iter_rows():
            if name:
                self.bounds[name] = value
            else:
                self.first_day = value
        for key, space in self.families.items():
            frame = frames[f"family-{key}"]
            _fill(space, space.number(self.pairs(frame["subject"], frame["key"], key)), frame, ("subject", "key"))
        for place, (name, space) in enumerate(sorted(self.distinct.items())):
            frame, total = frames[f"distinct-{place}"], self._totals[name]
            owners = self.subjects.of(frame["subject"])
            if total.key:
                owners = self.families[total.key].number(pair_codes(owners, self.values[total.key].of(frame["key"])))
            codes = pair_codes(owners, self.values[total.field].of(frame["value"]))
            _fill(space, space.number(codes), frame, ("subject", "key", "value"))

    def pairs(self, subjects: pl.Series, values: pl.Series, field: str) -> Ints:
        """Codes of pairs of subject and value."""
        return pair_codes(self.subjects.of(subjects), self.values[field].of(values))


def _fill(space: Space, numbers: Ints, frame: pl.DataFrame, ids: tuple[str, ...]) -> None:
    for name in frame.columns:
        if name not in ids:
            space[name][numbers] = frame[name].to_numpy()
