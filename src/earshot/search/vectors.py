"""What the kernel does to 64 lanes at once, written as vectors so that no compiler has to guess.

Numba compiles loops over lanes well only while it can prove a good deal about them. So the three
steps of the recurrence are spelled here in LLVM's own vectors of 64 whole numbers, of 8, 16 or 32
bits, added with saturation: LLVM cuts them into what the processor has (two registers of AVX2, four
of SSE or NEON, one of AVX-512). Those of 32 bits hold a cost and behind it, in 16 bits, a length in
frames. Every function here is inlined where numba code calls it; arrays are one-dimensional, and
where lanes lie in them is counted in elements.

This module knows nothing of what the numbers mean but how levels become costs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from earshot.lanes import KNEES, LANES, PACKED, WALL

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
def decode(_: Any, packed: Any, at: Any, double: Any, price: Any, clip: Any, charge: Any,
           emissions: Any, to: Any, least: Any) -> Any:  # fmt: skip
    """What a unit costs in the 64 lanes whose levels lie at `at` in `packed`.

    That is `min(cost + price, clip) + charge`, in halves of a cost or, with `double` 1, in whole
    ones, and of 32 bits one frame behind it; more than anything where there is a wall. Put `to` in
    `emissions`; with `least` 1 only where it is lower than what is there.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = _Array(context, builder, signature.args[0], args[0], PACKED)
        target = _Array(context, builder, signature.args[6], args[6], PACKED)
        both = source.get(args[1])
        four = both.all(4).value
        whole, least = (builder.trunc(args[one], ir.IntType(1)) for one in (2, 8))
        halves = (builder.and_(both.value, both.all(15).value), builder.lshr(both.value, four))
        for half, level in enumerate(halves):
            cost, wall = _cost(_Vector(builder, level), _array_kind(signature.args[6], context))
            doubled = cost + cost
            cost = _Vector(builder, builder.select(whole, doubled.value, cost.value))
            cost = (cost + target.spread(args[3])).low(target.spread(args[4]))
            cost = cost + target.spread(args[5])
            if signature.args[6].dtype.bitwidth == 32:
                shift = cost.all(LENGTH_BITS).value
                cost = _Vector(builder, builder.shl(cost.value, shift)) | cost.all(1)
            cost = cost | wall
            place = builder.add(args[7], args[7].type(PACKED * half))
            lower = target.get(place).low(cost)
            target.put(place, _Vector(builder, builder.select(least, lower.value, cost.value)))
        return context.get_dummy_value()

    place, number = types.uint64, types.int64
    kinds = (packed, place, number, number, number, number, emissions, place, number)
    return types.void(*kinds), generate


def _array_kind(kind: Any, context: Any) -> Any:
    return ir.VectorType(context.get_data_type(kind.dtype), PACKED)


def _cost(level: _Vector, kind: Any) -> tuple[_Vector, _Vector]:
    """Half the cost that levels stand for, and all bits set where they are the wall."""
    builder = level.builder
    cost = level.all(0)
    for at, by in KNEES:
        part = level - level.all(at)
        while by:
            if by % 2:
                cost = cost + part
            part, by = part + part, by // 2
    wall = builder.icmp_unsigned("==", level.value, level.all(WALL).value)
    wide = cost.value
    if kind.element.width > level.value.type.element.width:
        wide = builder.zext(wide, kind)
    return _Vector(builder, wide), _Vector(builder, builder.sext(wall, kind))
