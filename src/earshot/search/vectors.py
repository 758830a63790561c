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
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from earshot.lanes import BLOCK, LANES, PACKED

LEVELS_THERE = 16
"""What a level may be: 15 costs, and the wall."""

LENGTH_BITS = 16
"""Of keys of 32 bits, those that hold a length in frames; the cost stands above them."""

WIDTH = 64
"""Bytes of the lanes that are walked through together: their states fit the registers."""

TRAIL = (BLOCK + 1) * LANES
"""Numbers of a trail: of a block, what a state was before each step, and after the last."""

SLOT = 3 * TRAIL
"""Numbers of what one unit leaves behind."""


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

    def call_for(self, at: Any) -> None:
        """Have what lies there brought near, if there is anything."""
        pointer = ir.PointerType(ir.IntType(8))
        number = ir.IntType(32)
        name = "llvm.prefetch.p0"
        function = self._builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
            function = ir.Function(self._builder.module, kind, name)
        place = self._builder.bitcast(self._pointer(at), pointer)
        self._builder.call(function, [place, number(0), number(3), number(1)])

    def one(self, at: Any) -> Any:
        """A number."""
        return self._builder.load(self._builder.gep(self._data, [at]))

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
def walk(_: Any, states: Any, here: Any, trails: Any, before: Any, earlier: Any, own: Any,
         emissions: Any, unit: Any, gap: Any, skip: Any, stay: Any, count: Any) -> Any:  # fmt: skip
    """One unit and the gap after it, `count` steps on, in the lanes that WIDTH bytes hold.

    At `here` in `states` lie the costs of being in the unit, in the gap, and the lower of both,
    LANES numbers apart. A trail holds what a state was before each step, and after the last, LANES
    numbers apart. At `before` in `trails` lies the trail of what leads here, at `earlier` of what
    leads here for `skip` more; from `own` on are left those of the lower of both, and of the gap,
    TRAIL numbers apart, and behind them the least that the unit cost. At `unit` and `gap` in
    `emissions` lies what each step costs.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        lanes = WIDTH * 8 // kinds[0].dtype.bitwidth
        state, trail, emission = (
            _Array(context, builder, kinds[one], args[one], lanes) for one in (0, 2, 6)
        )
        here, before, earlier, own, unit, gap = (args[one] for one in (1, 3, 4, 5, 7, 8))
        skip, stay = state.spread(args[9]), state.spread(args[10])

        past = partial(_past, builder)
        places = [past(here, LANES * part) for part in range(3)]
        first = [state.get(place) for place in places]
        trail.put(own, first[2])
        trail.put(past(own, TRAIL), first[1])
        loop = _Loop(builder, args[11])
        was_unit, _, was_low, least = (
            _Vector(builder, loop.carry(one.value)) for one in (*first, first[0].all(-1))
        )
        with loop:
            at = builder.mul(loop.step, loop.step.type(LANES))
            stayed = was_unit + stay
            skipped = trail.get(past(earlier, at)) + skip
            led = stayed.low(trail.get(past(before, at)), skipped)
            new_unit = led + emission.get(past(unit, at))
            new_gap = was_low + emission.get(past(gap, at))
            new_low = new_unit.low(new_gap)
            least = least.low(new_unit)
            to = past(past(own, at), LANES)
            trail.put(to, new_low)
            trail.put(past(to, TRAIL), new_gap)
            loop.end(new_unit.value, new_gap.value, new_low.value, least.value)
        for place, one in zip(places, (new_unit, new_gap, new_low), strict=True):
            state.put(place, one)
        trail.put(past(own, 2 * TRAIL), least)
        return context.get_dummy_value()

    at, number = types.uint64, types.int64
    kinds = (states, at, trails, at, at, at, emissions, at, at, number, number, at)
    return types.void(*kinds), generate


class _Loop:
    """So many steps, one at least; what `carry` returns is what `end` was given a step before."""

    def __init__(self, builder: Any, count: Any) -> None:
        self._builder, self._count = builder, count
        self._before = builder.block
        self._body = builder.append_basic_block("steps")
        self._behind = builder.append_basic_block("behind")
        self._carried: list[Any] = []
        builder.branch(self._body)
        builder.position_at_end(self._body)
        self.step = self._phi(count.type(0))

    def carry(self, first: Any) -> Any:
        """Something that begins as `first`."""
        carried = self._phi(first)
        self._carried.append(carried)
        return carried

    def __enter__(self) -> _Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self._builder.position_at_end(self._behind)

    def end(self, *values: Any) -> None:
        """The step is done: by what was carried, what it is now."""
        more = self._builder.add(self.step, self.step.type(1))
        for carried, value in zip((self.step, *self._carried), (more, *values), strict=True):
            carried.add_incoming(value, self._builder.block)
        again = self._builder.icmp_unsigned("<", more, self._count)
        self._builder.cbranch(again, self._body, self._behind)

    def _phi(self, first: Any) -> Any:
        carried = self._builder.phi(first.type)
        carried.add_incoming(first, self._before)
        return carried


@intrinsic  # type: ignore[untyped-decorator]
def end(_: Any, trails: Any, last: Any, before: Any, skip: Any, lowest: Any, to: Any) -> Any:
    """The least that it costs to end here, in the lanes that WIDTH bytes hold, to `to` in `lowest`.

    At `last` in `trails` lies the least cost of being in the last unit, at `before` that of the
    one before it, from where the end is reached for `skip` more.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        lanes = WIDTH * 8 // kinds[0].dtype.bitwidth
        trail, least = (_Array(context, builder, kinds[one], args[one], lanes) for one in (0, 4))
        skipped = trail.get(args[2]) + trail.spread(args[3])
        least.put(args[5], trail.get(args[1]).low(skipped))
        return context.get_dummy_value()

    at = types.uint64
    return types.void(trails, at, at, types.int64, lowest, at), generate


@intrinsic  # type: ignore[untyped-decorator]
def decode(_: Any, packed: Any, at: Any, tables: Any, table: Any, emissions: Any, to: Any) -> Any:
    """What a unit costs in the 64 lanes whose levels lie at `at` in `packed`, `to` in `emissions`.

    At `table` in `tables` stands what each of the 16 levels costs: low bytes, then high ones. What
    lies a block further on is called for, since it will be wanted soon.
    """
    bits = emissions.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = _Array(context, builder, signature.args[0], args[0], PACKED)
        costs = _Array(context, builder, signature.args[2], args[2], LEVELS_THERE)
        target = _Array(context, builder, signature.args[4], args[4], PACKED)
        both = source.get(args[1])
        source.call_for(builder.add(args[1], args[1].type(BLOCK * PACKED)))
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
            target.put(builder.add(args[5], args[5].type(PACKED * half)), cost)
        return context.get_dummy_value()

    return types.void(packed, types.uint64, tables, types.uint64, emissions, types.uint64), generate


def _looked_up(builder: Any, table: Any, levels: Any) -> Any:
    """The bytes of `table` (16) that stand at `levels`, which are 16 or 32."""
    if _SHUFFLE is None:
        return _selected(builder, table, levels)
    name, width = _SHUFFLE
    count = levels.type.count
    if count < width:
        name, width = _NARROW, count
    kind = ir.VectorType(ir.IntType(8), width)
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(kind, [kind, kind]), name)
    table = _picked(builder, table, table, [lane % LEVELS_THERE for lane in range(width)])
    found = [
        builder.call(
            function, [table, _picked(builder, levels, levels, range(first, first + width))]
        )
        for first in range(0, count, width)
    ]
    return found[0] if len(found) == 1 else _picked(builder, found[0], found[1], range(count))


def _picked(builder: Any, one: Any, other: Any, lanes: Any) -> Any:
    """Some lanes of two vectors, counted through both."""
    mask = [ir.IntType(32)(lane) for lane in lanes]
    return builder.shuffle_vector(
        one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(mask)), mask)
    )


def _selected(builder: Any, table: Any, levels: Any) -> Any:
    """The same where the processor has no such operation, or none that is known here."""
    count = levels.type.count
    there = [_picked(builder, table, table, [level] * count) for level in range(LEVELS_THERE)]
    every = _Vector(builder, levels)
    bit = 1
    while len(there) > 1:
        masked = builder.and_(levels, every.all(bit).value)
        odd = builder.icmp_unsigned("!=", masked, every.all(0).value)
        there = [builder.select(odd, there[at + 1], there[at]) for at in range(0, len(there), 2)]
        bit *= 2
    return there[0]


_NARROW = "llvm.x86.ssse3.pshuf.b.128"  # where that of `_SHUFFLE` does 32 at once


def _shuffle() -> tuple[str, int] | None:
    """The processor's own look-up in 16 bytes, as LLVM calls it, and how many it does at once."""
    if config.CPU_NAME or config.CPU_FEATURES:
        return None  # compiled for another processor
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "llvm.aarch64.neon.tbl1.v16i8", 16
    features = get_host_cpu_features().split(",")
    if "+avx2" in features:
        return "llvm.x86.avx2.pshuf.b", 32
    return (_NARROW, 16) if "+ssse3" in features else None


_SHUFFLE = _shuffle()


ABREAST = 16
"""Units of one plan that `stretch` takes through time side by side."""


@intrinsic  # type: ignore[untyped-decorator]
def hear(_: Any, source: Any, base: Any, shift: Any, offsets: Any, at: Any, costs: Any,
         rows: Any, to: Any) -> Any:  # fmt: skip
    """What ABREAST units cost in one step, to `to` in `rows`; returns the least of it.

    The levels lie in `source`, each as far behind `base` as `offsets` from `at` on say, and by so
    many bits above the lowest; `costs` are those of all levels.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        byte = _Array(context, builder, kinds[0], args[0], 1)
        offset = _Array(context, builder, kinds[3], args[3], 1)
        cost = _Array(context, builder, kinds[5], args[5], LEVELS_THERE)
        row = _Array(context, builder, kinds[6], args[6], ABREAST)
        levels = ir.Constant(ir.VectorType(ir.IntType(8), ABREAST), ir.Undefined)
        for unit in range(ABREAST):
            far = offset.one(builder.add(args[4], args[4].type(unit)))
            heard = byte.one(builder.add(args[1], far))
            levels = builder.insert_element(levels, heard, ir.IntType(32)(unit))
        levels = builder.lshr(levels, row.spread(args[2]).value)
        levels = builder.and_(levels, ir.Constant(levels.type, [15] * ABREAST))
        found = _looked_up(builder, cost.get(args[4].type(0)).value, levels)
        row.put(args[7], _Vector(builder, found))
        name = f"llvm.vector.reduce.umin.v{ABREAST}i8"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(
                builder.module, ir.FunctionType(ir.IntType(8), [levels.type]), name
            )
        return builder.zext(builder.call(function, [found]), ir.IntType(64))

    at_kind = types.uint64
    return types.int64(
        source, at_kind, types.int64, offsets, at_kind, costs, rows, at_kind
    ), generate


@intrinsic  # type: ignore[untyped-decorator]
def stretch(_: Any, leads: Any, apart: Any, trail: Any, rows: Any, at: Any, width: Any, clip: Any,
            blanks: Any, blank: Any, rules: Any, rule: Any, size: Any, stay: Any, far: Any,
            count: Any) -> Any:  # fmt: skip
    """ABREAST neighbouring units of one plan and the gaps behind them, `count` steps on.

    Keys are whole numbers of 32 bits, not above `far`. By step `trail` gets those of being in the
    units, then in the gaps, before it, and behind the last step those after it; `leads` has the
    same of the units in front, `apart` numbers a step. What the units cost in the first step lies
    at `at` in `rows`, in the next `width` bytes before it, and counts up to `clip`; what the blank
    does, as keys, from `blank` on in `blanks`. `rules` has four rows of `size` numbers, from `rule`
    on: the charge of each gap, what coming from the unit before costs, and from that before it, and
    what leaving one out does.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        lead = _Array(context, builder, kinds[0], args[0], 2)
        trail, row, rule = (
            _Array(context, builder, kinds[one], args[one], ABREAST) for one in (2, 3, 9)
        )
        blank = _Array(context, builder, kinds[7], args[7], 1)
        clip = row.spread(args[6])
        past, low, behind = (partial(one, builder) for one in (_past, _low, _behind))
        charges, from_one, from_two, skips = (
            rule.get(past(args[10], builder.mul(args[11], args[11].type(number)))).value
            for number in range(4)
        )
        stay, far = trail.spread(args[12]).value, trail.spread(args[13]).value
        zero = args[1].type(0)
        trail.put(zero, _Vector(builder, far))
        trail.put(past(zero, ABREAST), _Vector(builder, far))
        loop = _Loop(builder, args[14])
        unit, gap = loop.carry(far), loop.carry(far)
        with loop:
            leading = builder.mul(loop.step, args[1])
            front_unit = lead.get(past(leading, ABREAST - 2)).value
            front_gap = lead.get(past(leading, 2 * ABREAST - 2)).value
            led = low(behind(front_gap, gap, 1), builder.add(behind(front_unit, unit, 1), from_one))
            skipped = low(
                behind(front_gap, gap, 2), builder.add(behind(front_unit, unit, 2), from_two)
            )
            best = low(low(led, builder.add(skipped, skips)), builder.add(unit, stay))
            cost = row.get(builder.sub(args[4], builder.mul(loop.step, args[5]))).low(clip)
            key = _key(builder, cost.value)
            blanked = blank.one(past(args[8], loop.step))
            blanked = trail.spread(builder.sext(blanked, ir.IntType(64))).value
            new_unit = low(builder.add(best, key), far)
            new_gap = low(builder.add(low(unit, gap), builder.add(blanked, charges)), far)
            to = builder.mul(past(loop.step, 1), loop.step.type(2 * ABREAST))
            trail.put(to, _Vector(builder, new_unit))
            trail.put(past(to, ABREAST), _Vector(builder, new_gap))
            loop.end(new_unit, new_gap)
        return context.get_dummy_value()

    at_kind, number = types.uint64, types.int64
    arguments = (
        leads, at_kind, trail, rows, at_kind, at_kind, number, blanks, at_kind, rules, at_kind,
        at_kind, number, number, at_kind,
    )  # fmt: skip
    return types.void(*arguments), generate


def _past(builder: Any, at: Any, numbers: Any) -> Any:
    """A place so many numbers further on."""
    return builder.add(at, at.type(numbers) if isinstance(numbers, int) else numbers)


def _key(builder: Any, costs: Any) -> Any:
    """Keys of one step each that cost so much."""
    wide = ir.VectorType(ir.IntType(32), costs.type.count)
    bits, one = (ir.Constant(wide, [number] * wide.count) for number in (LENGTH_BITS, 1))
    return builder.add(builder.shl(builder.zext(costs, wide), bits), one)


def _low(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.icmp_signed("<", one, other), one, other)


def _behind(builder: Any, front: Any, units: Any, count: int) -> Any:
    """By unit what stands `count` before it; `front` are the two in front of the first."""
    front = _picked(builder, front, front, [0, 1] + [0] * (ABREAST - 2))
    picked = [2 - count, 1][:count] + list(range(ABREAST, 2 * ABREAST - count))
    return _picked(builder, front, units, picked)
