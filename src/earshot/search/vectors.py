"""What the kernel does to 64 lanes at once, written as vectors so that no compiler has to guess.

Numba compiles loops over lanes well only while it can prove a good deal about them. So the three
steps of the recurrence are spelled here in LLVM's own vectors of 64 whole numbers, of 8, 16 or 32
bits, added with saturation: LLVM cuts them into what the processor has (two registers of AVX2, four
of SSE or NEON, one of AVX-512). Those of 32 bits hold a cost and behind it, in 16 bits, a length in
frames. Every function here is inlined where numba code calls it; arrays are one-dimensional, and
where lanes lie in them is counted in elements.

This module knows nothing of what the numbers mean.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from earshot.lanes import LANES, PACKED

LEVELS_THERE = 16
"""What a level may be: 15 costs, and the wall."""

LENGTH_BITS = 16
"""Of numbers of 32 bits, those that hold a length in frames; the cost stands above them."""


class _Vector:
    """Lanes in LLVM: `+` and `-` saturate, `low` is the least of several."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def __add__(self, other: _Vector) -> _Vector:
        return self._with("uadd.sat", other)

    def __sub__(self, other: _Vector) -> _Vector:
        return self._with("usub.sat", other)

    def __or__(self, other: _Vector) -> _Vector:
        return _Vector(self.builder, self.builder.or_(self.value, other.value))

    def low(self, *others: _Vector) -> _Vector:
        least = self
        for other in others:
            least = least._with("umin", other)
        return least

    def all(self, number: int) -> _Vector:
        """A vector like this one that holds `number` everywhere."""
        kind = self.value.type
        return _Vector(self.builder, ir.Constant(kind, [number] * kind.count))

    def _with(self, operation: str, other: _Vector) -> _Vector:
        kind = self.value.type
        name = f"llvm.{operation}.v{kind.count}i{kind.element.width}"
        module = self.builder.module
        function = module.globals.get(name)
        if function is None:
            function = ir.Function(module, ir.FunctionType(kind, [kind, kind]), name)
        return _Vector(self.builder, self.builder.call(function, [self.value, other.value]))


class _Array:
    """A one-dimensional array argument, from which vectors of `count` lanes are read."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any, count: int) -> None:
        self._builder = builder
        self._data = context.make_array(kind)(context, builder, value).data
        self._kind = ir.VectorType(context.get_data_type(kind.dtype), count)

    def get(self, at: Any) -> _Vector:
        loaded = self._builder.load(self._pointer(at), align=self._kind.element.width // 8)
        return _Vector(self._builder, loaded)

    def put(self, at: Any, lanes: _Vector) -> None:
        self._builder.store(lanes.value, self._pointer(at), align=self._kind.element.width // 8)

    def spread(self, number: Any) -> _Vector:
        """A vector that holds `number`, of 64 bits but not too large, in every lane."""
        number = self._builder.trunc(number, self._kind.element)
        one = ir.VectorType(self._kind.element, 1)
        first = self._builder.insert_element(
            ir.Constant(one, ir.Undefined), number, ir.IntType(32)(0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self._kind.count), [0] * self._kind.count)
        spread = self._builder.shuffle_vector(first, ir.Constant(one, ir.Undefined), mask)
        return _Vector(self._builder, spread)

    def _pointer(self, at: Any) -> Any:
        element = self._builder.gep(self._data, [at])
        return self._builder.bitcast(element, self._kind.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def advance(_: Any, states: Any, here: Any, before: Any, earlier: Any, emissions: Any,
            unit: Any, gap: Any, skip: Any, stay: Any) -> Any:  # fmt: skip
    """One unit and the gap after it, a frame on.

    At `here` in `states` lie the costs of being in the unit, in the gap, and the lower of both, 64
    lanes each; at `before` those that lead here, at `earlier` those that lead here for `skip` more.
    At `unit` and `gap` in `emissions` lies what the frame costs.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        state = _Array(context, builder, signature.args[0], args[0], LANES)
        emission = _Array(context, builder, signature.args[4], args[4], LANES)
        places = [builder.add(args[1], args[1].type(LANES * part)) for part in range(3)]
        either = state.get(places[2])
        stayed = state.get(places[0]) + state.spread(args[8])
        skipped = state.get(args[3]) + state.spread(args[7])
        new_unit = stayed.low(state.get(args[2]), skipped) + emission.get(args[5])
        new_gap = either + emission.get(args[6])
        state.put(places[0], new_unit)
        state.put(places[1], new_gap)
        state.put(places[2], new_unit.low(new_gap))
        return context.get_dummy_value()

    at, number = types.uint64, types.int64
    kinds = (states, at, at, at, emissions, at, at, number, number)
    return types.void(*kinds), generate


@intrinsic  # type: ignore[untyped-decorator]
def end(_: Any, states: Any, last: Any, before: Any, skip: Any, lowest: Any, to: Any) -> Any:
    """Lower what lies at `to` in `lowest` to what it costs to end here.

    At `last` in `states` lies the cost of being in the last unit, at `before` that of the one
    before it, from where the end is reached for `skip` more.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        state = _Array(context, builder, signature.args[0], args[0], LANES)
        least = _Array(context, builder, signature.args[4], args[4], LANES)
        skipped = state.get(args[2]) + state.spread(args[3])
        least.put(args[5], least.get(args[5]).low(state.get(args[1]), skipped))
        return context.get_dummy_value()

    at = types.uint64
    return types.void(states, at, at, types.int64, lowest, at), generate


@intrinsic  # type: ignore[untyped-decorator]
def decode(_: Any, packed: Any, at: Any, tables: Any, table: Any, emissions: Any, to: Any) -> Any:
    """What a unit costs in the 64 lanes whose levels lie at `at` in `packed`, `to` in `emissions`.

    At `table` in `tables` stands what each of the 16 levels costs: low bytes, then high ones. With
    numbers of 32 bits one frame stands behind the cost.
    """
    return _decoding(packed, tables, emissions, lowering=False)


@intrinsic  # type: ignore[untyped-decorator]
def decode_lower(
    _: Any, packed: Any, at: Any, tables: Any, table: Any, emissions: Any, to: Any
) -> Any:
    """`decode`, but only where it is lower than what is there."""
    return _decoding(packed, tables, emissions, lowering=True)


def _decoding(packed: Any, tables: Any, emissions: Any, *, lowering: bool) -> Any:
    bits = emissions.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = _Array(context, builder, signature.args[0], args[0], PACKED)
        costs = _Array(context, builder, signature.args[2], args[2], LEVELS_THERE)
        target = _Array(context, builder, signature.args[4], args[4], PACKED)
        both = source.get(args[1])
        four = both.all(4).value
        levels = (builder.and_(both.value, both.all(15).value), builder.lshr(both.value, four))
        low = costs.get(args[3]).value
        high = costs.get(builder.add(args[3], args[3].type(LEVELS_THERE))).value
        for half, level in enumerate(levels):
            cost = _Vector(builder, _looked_up(builder, low, level))
            if bits > 8:
                kind = ir.VectorType(ir.IntType(bits), PACKED)
                above = builder.zext(_looked_up(builder, high, level), kind)
                cost = _Vector(builder, builder.zext(cost.value, kind))
                cost = cost | _Vector(builder, builder.shl(above, cost.all(8).value))
            if bits == 32:
                shift = cost.all(LENGTH_BITS).value
                cost = _Vector(builder, builder.shl(cost.value, shift)) | cost.all(1)
            place = builder.add(args[5], args[5].type(PACKED * half))
            target.put(place, target.get(place).low(cost) if lowering else cost)
        return context.get_dummy_value()

    return types.void(packed, types.uint64, tables, types.uint64, emissions, types.uint64), generate


def _looked_up(builder: Any, table: Any, levels: Any) -> Any:
    """The bytes of `table` (16) that stand at `levels` (32)."""
    if _SHUFFLE is None:
        return _selected(builder, table, levels)
    name, width = _SHUFFLE
    kind = ir.VectorType(ir.IntType(8), width)
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(kind, [kind, kind]), name)
    table = _picked(builder, table, table, [lane % LEVELS_THERE for lane in range(width)])
    found = [
        builder.call(
            function, [table, _picked(builder, levels, levels, range(first, first + width))]
        )
        for first in range(0, PACKED, width)
    ]
    return found[0] if len(found) == 1 else _picked(builder, found[0], found[1], range(PACKED))


def _picked(builder: Any, one: Any, other: Any, lanes: Any) -> Any:
    """Some lanes of two vectors, counted through both."""
    mask = [ir.IntType(32)(lane) for lane in lanes]
    return builder.shuffle_vector(
        one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(mask)), mask)
    )


def _selected(builder: Any, table: Any, levels: Any) -> Any:
    """The same where the processor has no such operation, or none that is known here."""
    there = [_picked(builder, table, table, [level] * PACKED) for level in range(LEVELS_THERE)]
    every = _Vector(builder, levels)
    bit = 1
    while len(there) > 1:
        masked = builder.and_(levels, every.all(bit).value)
        odd = builder.icmp_unsigned("!=", masked, every.all(0).value)
        there = [builder.select(odd, there[at + 1], there[at]) for at in range(0, len(there), 2)]
        bit *= 2
    return there[0]


def _shuffle() -> tuple[str, int] | None:
    """The processor's own look-up in 16 bytes, as LLVM calls it, and how many it does at once."""
    if config.CPU_NAME or config.CPU_FEATURES:
        return None  # compiled for another processor
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "llvm.aarch64.neon.tbl1.v16i8", 16
    features = get_host_cpu_features().split(",")
    if "+avx2" in features:
        return "llvm.x86.avx2.pshuf.b", 32
    return ("llvm.x86.ssse3.pshuf.b.128", 16) if "+ssse3" in features else None


_SHUFFLE = _shuffle()


ABREAST = 16
"""Units of one plan that `stride` advances at once."""


@intrinsic  # type: ignore[untyped-decorator]
def stride(_: Any, units: Any, gaps: Any, at: Any, emissions: Any, rules: Any, rule: Any,
           size: Any, blanked: Any, stay: Any, far: Any) -> Any:  # fmt: skip
    """ABREAST neighbouring units of one plan and the gaps behind them, a frame on.

    Keys are whole numbers of 32 bits, not above `far`. At `at` in `units` and `gaps` lie those of
    being there, the two in front of them are read too; at `at` less two in `emissions` what units
    cost. `rules` has four rows of `size` numbers, from `rule` on: the charge of each gap, what
    coming from the unit before costs, and from that before it, and what leaving one out does.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        unit, gap = (_Array(context, builder, kinds[one], args[one], ABREAST) for one in (0, 1))
        emission = _Array(context, builder, kinds[3], args[3], ABREAST)
        rule = _Array(context, builder, kinds[4], args[4], ABREAST)

        def back(numbers: int) -> Any:
            return builder.sub(args[2], args[2].type(numbers))

        def row(number: int) -> Any:
            past = builder.mul(args[6], args[6].type(number))
            return rule.get(builder.add(args[5], past)).value

        def low(one: Any, other: Any) -> Any:
            return builder.select(builder.icmp_signed("<", one, other), one, other)

        blanked, stay, far = (unit.spread(one).value for one in args[7:10])
        here, gone = unit.get(args[2]).value, gap.get(args[2]).value
        led = low(gap.get(back(1)).value, builder.add(unit.get(back(1)).value, row(1)))
        skipped = low(gap.get(back(2)).value, builder.add(unit.get(back(2)).value, row(2)))
        best = low(low(led, builder.add(skipped, row(3))), builder.add(here, stay))
        new_unit = low(builder.add(best, emission.get(back(2)).value), far)
        new_gap = low(builder.add(low(here, gone), builder.add(blanked, row(0))), far)
        unit.put(args[2], _Vector(builder, new_unit))
        gap.put(args[2], _Vector(builder, new_gap))
        return context.get_dummy_value()

    at_kind, number = types.uint64, types.int64
    arguments = (units, gaps, at_kind, emissions, rules, at_kind, at_kind, number, number, number)
    return types.void(*arguments), generate
