"""How many digits follow the point in the amounts of a currency."""

from __future__ import annotations

_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"

#: Where they are not two (ISO 4217).
EXPONENTS: dict[str, int] = {**dict.fromkeys(_NONE.split(), 0), **dict.fromkeys(_THREE.split(), 3)}
DEFAULT_EXPONENT = 2
