/** What people write, as it is shown. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { folded, isOnlyEmoji } from "../../src/ui/text/fold";
import { excerpt, pieces } from "../../src/ui/text/highlight";
import { tokens } from "../../src/ui/text/linkify";

const links = (text: string): string[] => tokens(text).flatMap((token) => (token.kind === "link" ? [token.href] : []));

describe("links", () => {
  it.each(["\u202e", "\u2066", "\u200b", "\u00ad"])(
    "that are turned around or hide letters stay text: %j",
    (hidden) => {
      expect(links(`https://evil.example/${hidden}moc.knab//:sptth`)).toEqual([]);
      expect(links(`see https://example.org/a${hidden} there`)).toEqual(["https://example.org/a"]);
    },
  );

  it.each([
    ["see https://example.org", ["https://example.org/"]],
    ["(https://example.org/a)", ["https://example.org/a"]],
    ["https://example.org/Letter_(message).", ["https://example.org/Letter_(message)"]],
    ["“https://example.org/x”, he said", ["https://example.org/x"]],
    ["http://a.example/1 and https://b.example/2!", ["http://a.example/1", "https://b.example/2"]],
    ["https://example.org/?q=1&r=2#top", ["https://example.org/?q=1&r=2#top"]],
    ["여기 https://example.org/글 봐", ["https://example.org/%EA%B8%80"]],
  ])("are found: %s", (text, expected) => {
    expect(links(text)).toEqual(expected);
  });

  it.each([
    "javascript:alert(1)",
    "data:text/html,x",
    "https://",
    "https://bank.example@evil.example/",
    "ftp://example.org",
    "example.org",
    "file:///etc/passwd",
    "vbscript:x",
    "HTTPS:/example.org",
  ])("are not made of %s", (text) => {
    expect(links(text)).toEqual([]);
  });

  it("leave the text as it was, whatever it is", () => {
    const noise = fc.string({ unit: "binary", maxLength: 80 });
    const alike = fc.constantFrom("https://", "http://", "(", ")", "a.example", " ", "@", "\u202e", "“", "\n");
    fc.assert(
      fc.property(fc.array(fc.oneof(noise, alike), { maxLength: 12 }), (parts) => {
        const text = parts.join("");
        const found = tokens(text);
        expect(found.map((token) => token.text).join("")).toBe(text);
        for (const token of found) if (token.kind === "link") expect(token.href).toMatch(/^https?:\/\//);
      }),
    );
  });

  it("take no time that one would notice, however hostile the text", () => {
    const took = [1, 2, 3].map(() => {
      const before = performance.now();
      tokens(`https://example.org/${"(".repeat(15_000)}${")".repeat(15_000)}`);
      tokens("https://".repeat(4_000));
      tokens("https://a.example ".repeat(2_000));
      tokens(`https://example.org/${".".repeat(30_000)}x`);
      tokens(`https://example.org/${")".repeat(2_000)}`);
      return performance.now() - before;
    });
    // 5 ms; some hundred times that where it is quadratic. The quickest, since others may have the core meanwhile.
    expect(Math.min(...took)).toBeLessThan(500);
  });
});

describe("long texts", () => {
  it("are folded by letters and by lines, short ones are not", () => {
    expect(folded("short")).toBe(null);
    expect(folded("line\n".repeat(30))?.split("\n")).toHaveLength(14);
    expect(folded("word ".repeat(400))?.length).toBeLessThanOrEqual(900);
  });

  it("never end in half a letter", () => {
    for (let before = 890; before < 910; before += 1) {
      const cut = folded(`${"x".repeat(before)}${"👩🏽‍🚀".repeat(200)}`) ?? "";
      expect(cut).not.toMatch(/\p{Surrogate}/u);
    }
  });

  it("begin as they were", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 3_000 }), (text) => {
        const cut = folded(text);
        if (cut !== null) expect(text.startsWith(cut)).toBe(true);
      }),
    );
  });
});

describe("emoji alone", () => {
  it.each(["👍", "👩🏽‍🚀 🎂", "🇰🇷", "❤️"])("are large: %s", (text) => expect(isOnlyEmoji(text)).toBe(true));
  it.each(["", " ", "1", "#", "ok 👍", "👍👍👍👍", "12"])("are small, or none: “%s”", (text) =>
    expect(isOnlyEmoji(text)).toBe(false),
  );
});

describe("what was searched", () => {
  const marked = (text: string, query: string): string =>
    pieces(text, query)
      .map((piece) => (piece.hit ? `[${piece.text}]` : piece.text))
      .join("");

  it("is marked at the beginning of words, in any case", () => {
    expect(marked("The map of maps, remapped", "MAP")).toBe("The [map] of [map]s, remapped");
    expect(marked("내일 도서관 앞에서", "도서")).toBe("내일 [도서]관 앞에서");
    expect(marked("a.b (c)", ".( c")).toBe("a.b ([c])");
    expect(marked("nothing", "…")).toBe("nothing");
  });

  it("stands in the line that is shown", () => {
    const line = excerpt(`${"word ".repeat(100)}the needle\nis here`, "needle");
    expect(line.startsWith("…")).toBe(true);
    expect(line.indexOf("needle")).toBeLessThan(60);
    expect(excerpt("short", "short")).toBe("short");
  });
});
