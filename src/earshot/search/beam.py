"""The decoder of snippets as machine code, written for Numba as `kernels` are.

A prefix beam search under CTC over a tree of pronunciations, with a language model; what comes in
is told in `earshot.decoding`. Nothing here allocates, raises or calls the C library: room is handed
in, and ln(1 + exp(-x)) is looked up in `curve`.

Columns of prefixes (`kept`, `now`): the node, what the model goes by, the unit said last (-1:
none), the history, the word that is to be added to it (-1: none), and the slot in the hash table.
Columns of `scores` and `have`: ending in a blank, ending in a unit, the best that came to it.
"""

from __future__ import annotations

from typing import Any

from numba import int64, uint64

from earshot.search.compiled import compiled

NOTHING = -1
CUT = -2
PAIRS = 1 << 20
PER_NAT = 64  # steps of `curve`
ENDINGS = 64  # more words never sound the same
LEVELS = 256  # of likelihood, when the best prefixes are chosen
_MORE = 2.0  # nats further back that the next frame may look
_NEVER = -1e30
_NODE, _STATE, _LAST, _PAST, _WORD, _SLOT = range(6)
_BLANK, _UNIT, _BEST = range(3)


@compiled
def _log_add(a: float, b: float, curve: Any) -> float:
    high = max(a, b)
    apart = uint64((high - min(a, b)) * PER_NAT) if high - min(a, b) < 16.0 else uint64(0)
    return high + curve[apart] if high - min(a, b) < 16.0 else high


@compiled
def _found(words: Any, start: int, end: int, word: int) -> int:
    """Where `word` stands between `start` and `end`, or -1."""
    low, high = int64(start), int64(end)
    while low < high:
        middle = (low + high) >> 1
        if words[uint64(middle)] < word:
            low = middle + 1
        else:
            high = middle
    return low if low < end and words[uint64(low)] == word else -1


@compiled
def _next(state: int, word: int, model: Any) -> tuple[float, int]:
    """ln probability of a word after what the model goes by, and what it goes by then."""
    single, single_left, first_pair, pair_words, pair, pair_left = model[:6]
    first_triple, triple_words, triple = model[6:]
    given, last = 0.0, state
    then = word if word > 0 else NOTHING
    if state >= PAIRS:
        last = int64(pair_words[uint64(state - PAIRS)])
    at = int64(-1)
    if last >= 0:
        at = _found(pair_words, first_pair[uint64(last)], first_pair[uint64(last + 1)], word)
        if at >= 0 and first_triple[uint64(at)] < first_triple[uint64(at + 1)]:
            then = PAIRS + at
    if state >= PAIRS:
        before = uint64(state - PAIRS)
        end = first_triple[before + uint64(1)]
        place = _found(triple_words, first_triple[before], end, word)
        if place >= 0:
            return float(triple[uint64(place)]), then
        given += pair_left[before]
    if at >= 0:
        return given + pair[uint64(at)], then
    if last >= 0:
        given += single_left[uint64(last)]
    return given + single[uint64(word)], then


@compiled
def _add(
    table: Any, kept: Any, scores: Any, curve: Any, count: int, node: int, state: int, last: int,
    past: int, word: int, in_blank: float, in_unit: float,
) -> int:  # fmt: skip
    """Add to the prefix with this node, state and last unit; return how many there are then.

    table: for a hash of these three, which prefix has it; it is larger than there are prefixes.
    """
    key = uint64(node) * uint64(0x9E3779B97F4A7C15)
    key ^= uint64(state + 1) * uint64(0xC2B2AE3D27D4EB4F)
    key ^= uint64(last + 1) * uint64(0x165667B19E3779F9)
    mask = uint64(table.shape[0] - 1)
    slot = (key ^ (key >> uint64(29))) & mask
    best = max(in_blank, in_unit)
    while table[slot] >= 0:
        at = uint64(table[slot])
        same = kept[at, _NODE] == node and kept[at, _STATE] == state and kept[at, _LAST] == last
        if same:
            if best > scores[at, _BEST]:
                scores[at, _BEST] = best
                kept[at, _PAST], kept[at, _WORD] = past, word
            scores[at, _BLANK] = _log_add(scores[at, _BLANK], in_blank, curve)
            scores[at, _UNIT] = _log_add(scores[at, _UNIT], in_unit, curve)
            return count
        slot = (slot + uint64(1)) & mask
    at = uint64(count)
    table[slot] = count
    kept[at, _NODE], kept[at, _STATE], kept[at, _LAST] = node, state, last
    kept[at, _PAST], kept[at, _WORD], kept[at, _SLOT] = past, word, int64(slot)
    scores[at, _BLANK], scores[at, _UNIT], scores[at, _BEST] = in_blank, in_unit, best
    return count + 1


@compiled
def _floor(scores: Any, count: int, curve: Any, span: float, width: int, levels: Any) -> float:
    """What a prefix must be worth to be among the best `width`, and no `span` behind the best."""
    top = _NEVER
    for at in range(uint64(count)):
        scores[at, _BEST] = _log_add(scores[at, _BLANK], scores[at, _UNIT], curve)
        top = max(top, scores[at, _BEST])
    if count <= width:
        return top - span
    for level in range(uint64(LEVELS)):
        levels[level] = 0
    for at in range(uint64(count)):
        behind = top - scores[at, _BEST]
        if behind < span:
            levels[uint64(behind / span * LEVELS)] += 1
    total, level = 0, 0
    while level < LEVELS:
        total += levels[uint64(level)]
        if total > width and level > 0:
            break
        level += 1
    return top - span * level / LEVELS


@compiled
def _stay(now: Any, have: Any, alive: int, heard: Any, blank: int, room: Any) -> tuple[int, float]:
    """Prefixes to which a frame adds nothing; how many there are then, and the best of them."""
    table, kept, scores, curve = room
    count, top = 0, _NEVER
    for at in range(uint64(alive)):
        last = now[at, _LAST]
        in_blank = _log_add(have[at, _BLANK], have[at, _UNIT], curve) + heard[blank]
        in_unit = have[at, _UNIT] + heard[uint64(max(last, 0))] if last >= 0 else _NEVER
        top = max(top, in_blank, in_unit)
        count = _add(
            table, kept, scores, curve, count, now[at, _NODE], now[at, _STATE], last,
            now[at, _PAST], -1, in_blank, in_unit,
        )  # fmt: skip
    return count, top


@compiled
def _grow(
    prefix: Any, ends: Any, heard: Any, tree: Any, model: Any, settings: Any, count: int,
    top: float, reach: float, room: Any,
) -> tuple[int, float]:  # fmt: skip
    """What one prefix becomes with one unit more; how many there are then, and the best."""
    units, first_child, first_word, words, ahead, numbers = tree
    table, kept, scores, curve = room
    least, weight, bonus = settings[1], settings[2], settings[3]
    node, state, last, past = uint64(prefix[_NODE]), prefix[_STATE], prefix[_LAST], prefix[_PAST]
    either = _log_add(ends[_BLANK], ends[_UNIT], curve)
    here = 0.0 if node == 0 else weight * ahead[node]
    for child in range(uint64(first_child[node]), uint64(first_child[node + uint64(1)])):
        unit = int64(units[child])
        said = heard[uint64(unit)]
        came = ends[_BLANK] if unit == last else either
        hoped = weight * ahead[child]
        score = came + said - here
        # What lies far back already will hardly be brought forward by its words.
        full = count > kept.shape[0] - ENDINGS
        if said < least or score + hoped < top - reach or full:
            continue
        behind = child + uint64(1)
        if first_child[child] < first_child[behind]:
            top = max(top, score + hoped)
            count = _add(
                table, kept, scores, curve, count, int64(child), state, unit, past, -1,
                _NEVER, score + hoped,
            )  # fmt: skip
        for ending in range(uint64(first_word[child]), uint64(first_word[behind])):
            line = int64(words[ending])
            given, then = _next(state, int64(numbers[uint64(line)]), model)
            count = _add(
                table, kept, scores, curve, count, 0, then, unit, past, line,
                _NEVER, score + weight * given + bonus,
            )  # fmt: skip
    return count, top


@compiled
def _keep(
    kept: Any, scores: Any, count: int, floor: float, frame: int, pasts: int, table: Any, now: Any,
    have: Any, past: Any,
) -> tuple[int, int, float]:  # fmt: skip
    """Prefixes of `floor` or more become those that are alive; words they end with are history.

    Returns how many are alive, how long `past` is, and what the best is worth.
    """
    alive, top = 0, _NEVER
    for at in range(uint64(count)):
        table[uint64(kept[at, _SLOT])] = -1
        if scores[at, _BEST] < floor or alive == now.shape[0]:
            continue
        top = max(top, scores[at, _BEST])
        to = uint64(alive)
        for column in range(uint64(5)):
            now[to, column] = kept[at, column]
        have[to, _BLANK], have[to, _UNIT] = scores[at, _BLANK], scores[at, _UNIT]
        if kept[at, _WORD] >= 0:
            past[pasts, 0], past[pasts, 1] = kept[at, _PAST], kept[at, _WORD]
            past[pasts, 2] = frame
            now[to, _PAST] = pasts
            pasts += 1
        alive += 1
    return alive, pasts, top


@compiled
def _chosen(
    now: Any,
    have: Any,
    alive: int,
    before: int,
    numbers: Any,
    model: Any,
    weight: float,
    curve: Any,
) -> int:
    """The history of the best prefix, of whole words unless the end is CUT."""
    best = _NEVER
    history: int = int64(-1)
    for pick in range(2):
        for at in range(uint64(alive)):
            if pick == 0 and (before == CUT or now[at, _NODE] != 0):
                continue
            score = _log_add(have[at, _BLANK], have[at, _UNIT], curve)
            if pick == 0 and before >= 0:
                given, _ = _next(now[at, _STATE], int64(numbers[uint64(before)]), model)
                score += weight * given
            if score > best:
                best, history = score, now[at, _PAST]
        if best > _NEVER:
            break
    return history


def decode(
    heard: Any, blank: int, units: Any, first_child: Any, first_word: Any, words: Any, ahead: Any,
    numbers: Any, single: Any, single_left: Any, first_pair: Any, pair_words: Any, pair: Any,
    pair_left: Any, first_triple: Any, triple_words: Any, triple: Any, settings: Any, after: int,
    before: int, curve: Any, table: Any, kept: Any, scores: Any, now: Any, have: Any, levels: Any,
    past: Any, found: Any,
) -> int:  # fmt: skip
    """Lines of the lexicon and last frames of the best words into `found`; how many there are."""
    tree = (units, first_child, first_word, words, ahead, numbers)
    model = (
        single, single_left, first_pair, pair_words, pair, pair_left, first_triple, triple_words,
        triple,
    )  # fmt: skip
    room = (table, kept, scores, curve)
    now[0, _NODE], now[0, _STATE], now[0, _LAST], now[0, _PAST] = 0, after, -1, -1
    have[0, _BLANK], have[0, _UNIT] = 0.0, _NEVER
    span = settings[0]
    alive, pasts, reach = 1, 0, span
    for frame in range(uint64(heard.shape[0])):
        count, top = _stay(now, have, alive, heard[frame], blank, room)
        for at in range(uint64(alive)):
            count, top = _grow(
                now[at], have[at], heard[frame], tree, model, settings, count, top, reach, room
            )
        floor = _floor(scores, count, curve, span, now.shape[0], levels)
        alive, pasts, top = _keep(
            kept, scores, count, floor, int64(frame), pasts, table, now, have, past
        )
        reach = min(span, top - floor + _MORE)
    history = _chosen(now, have, alive, before, numbers, model, settings[2], curve)
    size = 0
    while history >= 0:
        found[size, 0], found[size, 1] = past[history, 1], past[history, 2]
        history = past[history, 0]
        size += 1
    return size
