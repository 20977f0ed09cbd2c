/** The recovery key as people handle it: groups of letters. */

export function groupsOf(key: string): readonly string[] {
  return key.trim().split(/[\s-]+/u);
}

/** Which two groups are asked for: any two that differ, `random` in [0, 1). */
export function twoGroups(count: number, random: () => number): readonly [number, number] {
  const first = Math.floor(random() * count);
  const second = (first + 1 + Math.floor(random() * (count - 1))) % count;
  return first < second ? [first, second] : [second, first];
}

/** Case matters in a recovery key (it is base58); spaces around do not. */
export function sameGroup(typed: string, group: string): boolean {
  return typed.trim() === group;
}
