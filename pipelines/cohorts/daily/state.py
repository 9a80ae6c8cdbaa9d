"""Running totals of the subjects of one kind, by subject and by subject and key of a family, and their distinct values.

The working form has numbers for ids; the stored form has the ids and is sorted, so that equal states are equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.cohorts.daily.space import Ints, Names, Pairs, Space, pair_codes, parts
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
    distinct: dict[str, Pairs] = field(default_factory=dict)
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
                self.distinct.setdefault(total.name, Pairs())

    def family(self, key: str) -> None:
        """Have the pairs of a family."""
        if key and key not in self.families:
            self.families[key] = Space()
            self.values.setdefault(key, Names())
        self.space(key).column("changed", NONE)

    def prune(self) -> None:
        """Let go of values that no pair has any more, once they are most of all; a long run would keep what it saw."""
        for name, names in self.values.items():
            if names.height > _FEW:
                self._prune_values(name, names)

    def _prune_values(self, field: str, names: Names) -> None:
        pairs = [pairs for total, pairs in self.distinct.items() if self._totals[total].field == field]
        families = [space for key, space in self.families.items() if key == field]
        used = np.zeros(names.height, dtype=np.bool_)
        for codes in (*(each.codes for each in pairs), *(each.codes for each in families)):
            used[parts(codes)[1]] = True
        if 2 * int(used.sum()) < names.height:
            number = np.cumsum(used) - 1
            names.keep(used)
            for counted in pairs:
                first, second = parts(counted.codes)
                # The order of values stays, and so does that of the codes.
                counted.codes = pair_codes(first, number[second])
            for space in families:
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
        """Frames that say everything, sorted; a pair names subject and value by their places in the frames of those."""
        subjects = _Places.of(self.subjects, _touched(self.subjects))
        frames = {"subjects": _columns(self.subjects, subjects.chosen, subject=self.subjects.ids)}
        frames["bounds"] = pl.DataFrame(
            {"name": ["", *self.bounds], "value": [self.first_day, *self.bounds.values()]},
            schema={"name": pl.String, "value": pl.Int64},
        ).sort("name")
        values = {name: _Places.of(self.values[name], self._used(name)) for name in sorted(self.values)}
        for name, kept in values.items():
            frames[f"values-{name}"] = pl.DataFrame({"value": self.values[name].ids.gather(kept.chosen)})
        owners = {"": subjects}
        for key, space in self.families.items():
            rows = _touched(space)
            first, second = parts(space.codes[rows])
            codes = pair_codes(subjects.place[first], values[key].place[second])
            owners[key] = _Places.by(space.height, rows[np.argsort(codes)])
            owner, value = (pl.Series(part) for part in parts(np.sort(codes)))
            frames[f"family-{key}"] = _columns(space, owners[key].chosen).insert_column(0, owner.alias("owner"))
            frames[f"family-{key}"].insert_column(1, value.alias("value"))
        for number, (name, pairs) in enumerate(sorted(self.distinct.items())):
            total, counting = self._totals[name], pairs.rows != 0
            first, second = parts(pairs.codes[counting])
            codes = pair_codes(owners[total.key].place[first], values[total.field].place[second])
            order = np.argsort(codes)
            owner, value = (pl.Series(part) for part in parts(codes[order]))
            frames[f"distinct-{number}"] = pl.DataFrame(
                {"owner": owner, "value": value, "rows": pairs.rows[counting][order]}
            )
        return frames

    def _used(self, field: str) -> Ints:
        """Values of a field that a pair has that is worth keeping."""
        used = np.zeros(self.values[field].height, dtype=np.bool_)
        for name, pairs in self.distinct.items():
            if self._totals[name].field == field:
                used[parts(pairs.codes[pairs.rows != 0])[1]] = True
        if field in self.families:
            space = self.families[field]
            used[parts(space.codes[_touched(space)])[1]] = True
        return np.flatnonzero(used)

    def restore(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Take in what ``stored`` gave; every column is there already and nobody is."""
        owners = {"": self.subjects.of(frames["subjects"]["subject"])}
        _fill(self.subjects, owners[""], frames["subjects"])
        for name, value in frames["bounds"].iter_rows():
            if name:
                self.bounds[name] = value
            else:
                self.first_day = value
        values = {name: names.of(frames[f"values-{name}"]["value"]) for name, names in self.values.items()}
        for key, space in self.families.items():
            frame = frames[f"family-{key}"]
            codes = pair_codes(owners[""][frame["owner"].to_numpy()], values[key][frame["value"].to_numpy()])
            owners[key] = space.number(codes)
            _fill(space, owners[key], frame)
        for number, (name, pairs) in enumerate(sorted(self.distinct.items())):
            frame, total = frames[f"distinct-{number}"], self._totals[name]
            first, second = owners[total.key][frame["owner"].to_numpy()], values[total.field][frame["value"].to_numpy()]
            codes = pair_codes(first, second)
            order = np.argsort(codes)
            pairs.codes, pairs.rows = codes[order], frame["rows"].to_numpy()[order]


@dataclass(frozen=True)
class _Places:
    """What is stored of a space.

    Attributes:
        chosen: numbers in the order in which they are stored.
        place: of each number its place among them; -1 of what is not stored.
    """

    chosen: Ints
    place: Ints

    @staticmethod
    def by(height: int, chosen: Ints) -> _Places:
        place = np.full(height, -1, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        return _Places(chosen, place)

    @staticmethod
    def of(names: Names, numbers: Ints) -> _Places:
        """In the order of their strings."""
        return _Places.by(names.height, numbers[np.argsort(names.rank()[numbers])])


def _touched(space: Space) -> Ints:
    """Numbers of which a column is not what it began with."""
    touched = np.zeros(space.height, dtype=np.bool_)
    for name, default in space.defaults.items():
        touched |= space[name] != default
    return np.flatnonzero(touched)


def _columns(space: Space, numbers: Ints, **ids: pl.Series) -> pl.DataFrame:
    named = {name: series.gather(numbers) for name, series in ids.items()}
    return pl.DataFrame({**named, **{name: space[name][numbers] for name in sorted(space.defaults)}})


def _fill(space: Space, numbers: Ints, frame: pl.DataFrame) -> None:
    for name in space.defaults:
        space[name][numbers] = frame[name].to_numpy()
