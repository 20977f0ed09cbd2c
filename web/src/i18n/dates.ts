/** Moments as people say them, as short as they can be understood now. */

import type { Catalog, Language } from "./catalog";

const DAY = 86_400_000;

export interface Dates {
  /** 09:41 */
  time(ms: number): string;
  /** For a list: 09:41 today, then the weekday within a week, then the date. */
  short(ms: number, now: number): string;
  /** For a separator: Today, Yesterday, Monday, 3 March, 3 March 2025. */
  day(ms: number, now: number): string;
  /** With everything. */
  full(ms: number): string;
  date(ms: number): string;
  /** “5 minutes ago” */
  ago(ms: number, now: number): string;
}

/** The local day of a moment; equal for two moments of one day. */
export function dayOf(ms: number): number {
  const date = new Date(ms);
  return date.getFullYear() * 10_000 + date.getMonth() * 100 + date.getDate();
}

function daysBetween(ms: number, now: number): number {
  const midnight = (at: number): number => new Date(at).setHours(0, 0, 0, 0);
  return Math.round((midnight(now) - midnight(ms)) / DAY);
}

const AGO: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["year", 365 * DAY],
  ["month", 30 * DAY],
  ["week", 7 * DAY],
  ["day", DAY],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

export function dates(language: Language, words: Catalog): Dates {
  const locale = language === "en" ? "en-GB" : language;
  const format = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locale, options);
  const time = format({ hour: "numeric", minute: "2-digit" });
  const weekday = format({ weekday: "short" });
  const longWeekday = format({ weekday: "long" });
  const monthDay = format({ day: "numeric", month: "short" });
  const longMonthDay = format({ day: "numeric", month: "long", weekday: "long" });
  const yearMonthDay = format({ day: "numeric", month: "short", year: "numeric" });
  const longYearMonthDay = format({ day: "numeric", month: "long", year: "numeric" });
  const full = format({ dateStyle: "full", timeStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const sameYear = (ms: number, now: number) => new Date(ms).getFullYear() === new Date(now).getFullYear();

  return {
    time: (ms) => time.format(ms),
    short(ms, now) {
      const days = daysBetween(ms, now);
      if (days <= 0) return time.format(ms);
      if (days < 7) return weekday.format(ms);
      return (sameYear(ms, now) ? monthDay : yearMonthDay).format(ms);
    },
    day(ms, now) {
      const days = daysBetween(ms, now);
      if (days === 0) return words.time.today;
      if (days === 1) return words.time.yesterday;
      if (days > 1 && days < 7) return longWeekday.format(ms);
      return (sameYear(ms, now) ? longMonthDay : longYearMonthDay).format(ms);
    },
    full: (ms) => full.format(ms),
    date: (ms) => longYearMonthDay.format(ms),
    ago(ms, now) {
      const past = Math.max(now - ms, 0);
      for (const [unit, length] of AGO) {
        if (past >= length) return relative.format(-Math.floor(past / length), unit);
      }
      return words.time.now;
    },
  };
}
