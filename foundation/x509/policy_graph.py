"""Certificate policies along a path (RFC 5280 §6.1.2 to §6.1.5 as updated by RFC 9618): a graph, not a tree.

One node a policy and depth, with the policies that the next certificate may name instead of it (mappings). RFC 9618 §3:
a tree grows exponentially with hostile mappings; here a level has at most as many nodes as there are policies named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

ANY_POLICY = "2.5.29.32.0"


@dataclass
class _Node:
    expected: set[str]
    parents: set[str]  # valid policies of nodes one level up


@dataclass(frozen=True)
class PolicyInputs:
    """What the relying party asks (§6.1.1 (c), (e)-(g)). ``accepted`` None: any policy."""

    accepted: frozenset[str] | None = None
    explicit: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False


@dataclass(frozen=True)
class PolicyConstraints:
    """What a certificate says for those below it: skipCerts of §4.2.1.11 and §4.2.1.14, None where it is silent."""

    require_explicit: int | None = None
    inhibit_mapping: int | None = None
    inhibit_any: int | None = None


@dataclass
class PolicyState:
    """The state variables of §6.1.2 (a), (d)-(f) for a path of ``length`` certificates, the anchor not counted."""

    inputs: PolicyInputs
    length: int
    levels: list[dict[str, _Node]] | None = field(init=False)  # None: the graph is NULL
    explicit: int = field(init=False)
    mapping: int = field(init=False)
    any_policy: int = field(init=False)

    def __post_init__(self) -> None:
        self.levels = [{ANY_POLICY: _Node({ANY_POLICY}, set())}]
        self.explicit = 0 if self.inputs.explicit else self.length + 1
        self.mapping = 0 if self.inputs.inhibit_mapping else self.length + 1
        self.any_policy = 0 if self.inputs.inhibit_any else self.length + 1

    def take(self, stated: frozenset[str] | None, self_issued_above: bool) -> None:
        """§6.1.3 (d), (e): the policies that a certificate states (None: no extension).

        ``self_issued_above``: it is self-issued and not the last of the path.
        """
        if stated is None or self.levels is None:
            self.levels = None
            return
        above = self.levels[-1]
        level: dict[str, _Node] = {}
        for policy in stated - {ANY_POLICY}:
            parents = {name for name, node in above.items() if policy in node.expected}
            if not parents and ANY_POLICY in above:
                parents = {ANY_POLICY}
            if parents:
                level[policy] = _Node({policy}, parents)
        if ANY_POLICY in stated and (self.any_policy > 0 or self_issued_above):
            for policy in {one for node in above.values() for one in node.expected} - level.keys():
                level[policy] = _Node({policy}, {name for name, node in above.items() if policy in node.expected})
        self.levels.append(level)
        self._prune()

    def failed(self) -> bool:
        """§6.1.3 (f): no policy is left where one is needed."""
        return self.explicit == 0 and self.levels is None

    def map(self, mappings: Mapping[str, frozenset[str]]) -> None:
        """§6.1.4 (b). Neither side of ``mappings`` names anyPolicy (§6.1.4 (a) is checked before)."""
        if self.levels is None:
            return
        level = self.levels[-1]
        for policy, mapped in mappings.items():
            if self.mapping == 0:
                level.pop(policy, None)
            elif policy in level:
                level[policy].expected = set(mapped)
            elif ANY_POLICY in level:
                level[policy] = _Node(set(mapped), set(level[ANY_POLICY].parents))
        self._prune()

    def descend(self, self_issued: bool, said: PolicyConstraints) -> None:
        """§6.1.4 (h)-(j): on to the next certificate."""
        if not self_issued:
            self.explicit = max(0, self.explicit - 1)
            self.mapping = max(0, self.mapping - 1)
            self.any_policy = max(0, self.any_policy - 1)
        self.constrain(said)

    def constrain(self, said: PolicyConstraints) -> None:
        """§6.1.4 (i), (j) alone: what a trust anchor says binds too (RFC 5937 §3.2)."""
        if said.require_explicit is not None:
            self.explicit = min(self.explicit, said.require_explicit)
        if said.inhibit_mapping is not None:
            self.mapping = min(self.mapping, said.inhibit_mapping)
        if said.inhibit_any is not None:
            self.any_policy = min(self.any_policy, said.inhibit_any)

    def finish(self, require_explicit: int | None) -> None:
        """§6.1.5 (a), (b)."""
        self.explicit = max(0, self.explicit - 1)
        if require_explicit == 0:
            self.explicit = 0

    def valid_for(self) -> frozenset[str]:
        """The user-constrained policy set (§6.1.5 (g)); anyPolicy in it stands for any."""
        if self.levels is None:
            return frozenset()
        authority = {
            policy
            for above, level in pairwise(self.levels)
            for policy, node in level.items()
            if policy != ANY_POLICY and ANY_POLICY in node.parents and ANY_POLICY in above
        }
        any_at_end = ANY_POLICY in self.levels[-1]
        accepted = self.inputs.accepted
        if accepted is None or ANY_POLICY in accepted:
            return frozenset(authority | {ANY_POLICY}) if any_at_end else frozenset(authority)
        return accepted if any_at_end else frozenset(authority & accepted)

    def satisfied(self) -> bool:
        """§6.1.5: whether the path may be used as far as policies go."""
        return self.explicit > 0 or bool(self.valid_for())

    def _prune(self) -> None:
        """§6.1.3 (d)(3): nodes without a child, from below; a level that is empty makes the graph NULL."""
        levels = self.levels or []
        for depth in range(len(levels) - 1, 0, -1):
            used = {parent for node in levels[depth].values() for parent in node.parents}
            levels[depth - 1] = {name: node for name, node in levels[depth - 1].items() if name in used}
        if not levels or not levels[0]:
            self.levels = None
