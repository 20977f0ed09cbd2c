/** 60 digits as people read them to each other: 12 groups of 5. */
export function digitGroups(number: string): readonly string[] {
  return number.replace(/\D/g, "").match(/.{1,5}/g) ?? [];
}
